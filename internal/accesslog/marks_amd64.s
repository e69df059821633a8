#include "textflag.h"

// MARK writes the place of the lowest bit of AX, and takes it off. Of no bit it writes a place that
// is overwritten by the next group.
#define MARK(at) \
	TZCNTQ AX, BX   \
	ADDL   DX, BX   \
	MOVL   BX, at(DI) \
	BLSRQ  AX, AX

#define MARK4(at) \
	MARK(at)      \
	MARK(at+4)    \
	MARK(at+8)    \
	MARK(at+12)

// func marksAVX2(data *byte, n int, out *uint32) int
TEXT ·marksAVX2(SB), NOSPLIT, $0-32
	MOVQ data+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ out+16(FP), DI
	MOVQ DI, R8
	MOVL $0x22, AX
	MOVD AX, X0
	VPBROADCASTB X0, Y0
	MOVL $0x0a, AX
	MOVD AX, X1
	VPBROADCASTB X1, Y1
	XORQ DX, DX

group:
	CMPQ DX, CX
	JGE  done
	VMOVDQU   (SI)(DX*1), Y2
	VMOVDQU   32(SI)(DX*1), Y5
	VPCMPEQB  Y0, Y2, Y3
	VPCMPEQB  Y1, Y2, Y4
	VPCMPEQB  Y0, Y5, Y6
	VPCMPEQB  Y1, Y5, Y7
	VPOR      Y3, Y4, Y3
	VPOR      Y6, Y7, Y6
	VPMOVMSKB Y3, AX
	VPMOVMSKB Y6, R9
	SHLQ      $32, R9
	ORQ       R9, AX
	POPCNTQ   AX, R10

	// Most groups have few marks: to write four without looking costs less than a branch that is
	// guessed wrong.
	MARK4(0)
	CMPQ R10, $4
	JLE  next
	MARK4(16)
	CMPQ R10, $8
	JLE  next
	MARK4(32)
	CMPQ R10, $12
	JLE  next
	LEAQ 48(DI), R11

rest:
	TZCNTQ AX, BX
	ADDL   DX, BX
	MOVL   BX, (R11)
	ADDQ   $4, R11
	BLSRQ  AX, AX
	JNZ    rest

next:
	LEAQ (DI)(R10*4), DI
	ADDQ $64, DX
	JMP  group

done:
	SUBQ R8, DI
	SHRQ $2, DI
	MOVQ DI, ret+24(FP)
	VZEROUPPER
	RET
