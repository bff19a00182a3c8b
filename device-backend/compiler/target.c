// SPDX-License-Identifier: MIT
/*
 * The instruction-set extensions of a processor as text; see target.h. Device code is x86-64 only so far: another
 * processor needs its own prefix and words here.
 */
#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "compiler/target.h"
#include "support/config.h"
#include "support/log.h"

#define PREFIX "x86_64:"
#define WORDS MCL_TARGET_WORDS

/*
 * Only bits that a compiler may turn into instructions. Others (hypervisor present, APIC, mitigations ...) differ
 * between machines that run the same code.
 */
static const uint32_t mask[WORDS] = {
	/* leaf 1 ecx: SSE3 PCLMUL SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE OSXSAVE AVX F16C RDRAND */
	1u << 0 | 1u << 1 | 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 25 |
		1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 30,
	/* leaf 1 edx: CX8 CMOV MMX FXSR SSE SSE2 */
	1u << 8 | 1u << 15 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26,
	/*
	 * leaf 7 ebx: BMI AVX2 BMI2 AVX512{F,DQ} RDSEED ADX AVX512IFMA CLFLUSHOPT CLWB AVX512{PF,ER,CD} SHA
	 * AVX512{BW,VL}
	 */
	1u << 3 | 1u << 5 | 1u << 8 | 1u << 16 | 1u << 17 | 1u << 18 | 1u << 19 | 1u << 21 | 1u << 23 | 1u << 24 |
		1u << 26 | 1u << 27 | 1u << 28 | 1u << 29 | 1u << 30 | 1u << 31,
	/* leaf 7 ecx: VBMI VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID */
	1u << 1 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 22,
	/* leaf 7 edx: 4VNNIW 4FMAPS VP2INTERSECT AMX-BF16 AVX512FP16 AMX-TILE AMX-INT8 */
	1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25,
	/* leaf 7.1 eax: SHA512 SM3 SM4 AVX-VNNI AVX512BF16 CMPCCXADD AMX-FP16 AVX-IFMA */
	1u << 0 | 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 21 | 1u << 23,
	/* leaf 0x80000001 ecx: LAHF LZCNT SSE4a PREFETCHW XOP FMA4 TBM */
	1u << 0 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 11 | 1u << 16 | 1u << 21,
	/* leaf 0x80000001 edx: 3DNow! and its extensions */
	1u << 30 | 1u << 31,
	/* XCR0: SSE, AVX, AVX-512 and AMX state enabled by the system */
	1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 17 | 1u << 18,
};

/*
 * Processors to compile for by name: levels that the x86-64 psABI defines. Not the second: POCL's built-in functions for
 * processors without FMA call the C library's fma().
 */
static const struct mcl_target named[] = {
	{
		.name = "x86-64-v3",
		.builtins = "avx2",
		.words = {
			/* SSE3 SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT XSAVE OSXSAVE AVX F16C */
			[0] = 1u << 0 | 1u << 9 | 1u << 12 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 |
			      1u << 26 | 1u << 27 | 1u << 28 | 1u << 29,
			/* CX8 CMOV MMX FXSR SSE SSE2 */
			[1] = 1u << 8 | 1u << 15 | 1u << 23 | 1u << 24 | 1u << 25 | 1u << 26,
			/* BMI AVX2 BMI2 */
			[2] = 1u << 3 | 1u << 5 | 1u << 8,
			/* LAHF LZCNT */
			[6] = 1u << 0 | 1u << 5,
			/* SSE and AVX state */
			[8] = 1u << 1 | 1u << 2,
		},
	},
};

static const struct mcl_target *chosen; /* NULL: this machine */
static uint32_t here[WORDS];
#define TEXT_SIZE (sizeof(PREFIX) + WORDS * 9)
static char machine[TEXT_SIZE], text[TEXT_SIZE];
/* Apart, because the choice reads the options, which a program may still want to set. */
static pthread_once_t machine_once = PTHREAD_ONCE_INIT, chosen_once = PTHREAD_ONCE_INIT;

static void print_words(const uint32_t *words, char *out)
{
	size_t used = (size_t)snprintf(out, TEXT_SIZE, PREFIX);

	for (int i = 0; i < WORDS; i++)
		used += (size_t)snprintf(out + used, TEXT_SIZE - used, i ? ".%08x" : "%08x", words[i]);
}

static void read_processor(void)
{
	unsigned int a, b, c, d, max_leaf = __get_cpuid_max(0, NULL);

	if (max_leaf >= 1) {
		__cpuid(1, a, b, c, d);
		here[0] = c;
		here[1] = d;
	}
	if (max_leaf >= 7) {
		unsigned int subleaves;

		__cpuid_count(7, 0, subleaves, b, c, d);
		here[2] = b;
		here[3] = c;
		here[4] = d;
		if (subleaves >= 1) {
			__cpuid_count(7, 1, a, b, c, d);
			here[5] = a;
		}
	}
	if (__get_cpuid_max(0x80000000, NULL) >= 0x80000001) {
		__cpuid(0x80000001, a, b, c, d);
		here[6] = c;
		here[7] = d;
	}
	if (here[0] & bit_OSXSAVE) {
		uint32_t low, high;

		__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		here[8] = low;
	}
	for (int i = 0; i < WORDS; i++)
		here[i] &= mask[i];
	print_words(here, machine);
}

static void choose(void)
{
	const char *const name = mcl_config()->target_cpu;

	pthread_once(&machine_once, read_processor);
	for (size_t i = 0; i < sizeof(named) / sizeof(*named); i++)
		if (!strcmp(named[i].name, name))
			chosen = &named[i];
	if (*name && !chosen)
		mcl_log_warn("MIRRORCL_TARGET_CPU=%s is not known here; kernels are compiled for this processor", name);
	print_words(chosen ? chosen->words : here, text);
}

const char *mcl_target_machine(void)
{
	pthread_once(&machine_once, read_processor);
	return machine;
}

const char *mcl_target_here(void)
{
	pthread_once(&chosen_once, choose);
	return text;
}

const struct mcl_target *mcl_target_chosen(void)
{
	pthread_once(&chosen_once, choose);
	return chosen;
}

bool mcl_target_runs_here(const char *target)
{
	const char *p = target;

	pthread_once(&machine_once, read_processor);
	if (strncmp(p, PREFIX, strlen(PREFIX)) != 0)
		return false;
	p += strlen(PREFIX);
	for (int i = 0; i < WORDS; i++) {
		uint32_t word;
		int used;

		if (i && *p++ != '.')
			return false;
		if (sscanf(p, "%8x%n", &word, &used) != 1 || used != 8)
			return false;
		if (word & ~here[i])
			return false;
		p += used;
	}
	return *p == '\0' || *p == ' ';
}
