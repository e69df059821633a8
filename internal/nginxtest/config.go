package nginxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Realistic is a configuration with what production ones have: static files
// under a relative root, a proxied upstream, TLS with HTTP/2, a unix socket,
// an access log, two workers. Its ports are "http", "https" and "app"; the
// socket is run/http.sock. Releases 1.18 to 1.31 take it.
const Realistic = `user {{.User}};
worker_processes 2;
pid {{.PidFile}};
error_log {{.ErrorLog}} notice;

events {
    worker_connections 4096;
}

http {
    types {
        text/html html;
        text/plain txt;
    }
    default_type application/octet-stream;
    access_log {{.AccessLog}} combined;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65;

    client_body_temp_path temp/body;
    proxy_temp_path temp/proxy;
    fastcgi_temp_path temp/fastcgi;
    uwsgi_temp_path temp/uwsgi;
    scgi_temp_path temp/scgi;

    upstream app {
        server 127.0.0.1:{{.Port "app"}};
        keepalive 8;
    }

    server {
        listen 127.0.0.1:{{.Port "http"}};
        listen 127.0.0.1:{{.Port "https"}} ssl http2;
        listen unix:{{.Prefix}}/run/http.sock;
        server_name localhost;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        add_header X-Worker $pid;
        root html;

        location / {
            index index.html;
        }
        location /app/ {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }
    }

    server {
        listen 127.0.0.1:{{.Port "app"}};
        access_log off;
        location / {
            default_type text/plain;
            return 200 "app $request_method $request_uri\n";
        }
    }
}
`

// BigFileSize is the size of html/big in bytes: more than the kernel's buffers
// hold, so that a client which reads slowly keeps its worker busy.
const BigFileSize = 64 << 20

// writeContent lays the files below prefix that Realistic serves: html/ and
// the certificate conf/cert.pem with its key.
func writeContent(prefix string) error {
	big, err := os.Create(filepath.Join(prefix, "html/big"))
	if err != nil {
		return err
	}
	cert, key, err := SelfSigned()
	if err != nil {
		return err
	}
	return errors.Join(
		big.Truncate(BigFileSize), // a hole: it takes no space
		big.Close(),
		os.WriteFile(filepath.Join(prefix, "html/index.html"), []byte("<!doctype html><title>nginxtest</title>\n"), 0o644),
		os.WriteFile(filepath.Join(prefix, "html/page.txt"), []byte(strings.Repeat("a line of sixteen\n", 512)), 0o644),
		os.WriteFile(filepath.Join(prefix, "conf/cert.pem"), cert, 0o644),
		os.WriteFile(filepath.Join(prefix, "conf/key.pem"), key, 0o600))
}

// SelfSigned makes a certificate for loopback, and its key, in PEM.
func SelfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
