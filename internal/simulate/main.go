// Simulate measures how often the gates' tests raise a false alarm, and how long a real fault goes unseen, in worlds
// of drawn traffic.
package main

func main() {}
