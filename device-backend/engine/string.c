// SPDX-License-Identifier: MIT
/*
 * The memory functions that kernels and compilers expect. Processors with fast string instructions are assumed for what is
 * long; what is short is moved by overlapping words.
 */
#include "engine/engine.h"

typedef uint64_t mcl_u64_any __attribute__((aligned(1), may_alias));
typedef uint32_t mcl_u32_any __attribute__((aligned(1), may_alias));
typedef uint16_t mcl_u16_any __attribute__((aligned(1), may_alias));
typedef uint64_t mcl_vec_any __attribute__((vector_size(16), aligned(1), may_alias));

/* All loads come before all stores, so that this serves memmove too. */
static inline void copy_short(uint8_t *d, const uint8_t *s, size_t n)
{
	if (n >= 16) {
		mcl_vec_any a = *(const mcl_vec_any *)s, z = *(const mcl_vec_any *)(s + n - 16);

		if (n > 32) {
			mcl_vec_any b = *(const mcl_vec_any *)(s + 16), y = *(const mcl_vec_any *)(s + n - 32);

			*(mcl_vec_any *)(d + 16) = b;
			*(mcl_vec_any *)(d + n - 32) = y;
		}
		*(mcl_vec_any *)d = a;
		*(mcl_vec_any *)(d + n - 16) = z;
	} else if (n >= 8) {
		uint64_t a = *(const mcl_u64_any *)s, z = *(const mcl_u64_any *)(s + n - 8);

		*(mcl_u64_any *)d = a;
		*(mcl_u64_any *)(d + n - 8) = z;
	} else if (n >= 4) {
		uint32_t a = *(const mcl_u32_any *)s, z = *(const mcl_u32_any *)(s + n - 4);

		*(mcl_u32_any *)d = a;
		*(mcl_u32_any *)(d + n - 4) = z;
	} else if (n >= 2) {
		uint16_t a = *(const mcl_u16_any *)s, z = *(const mcl_u16_any *)(s + n - 2);

		*(mcl_u16_any *)d = a;
		*(mcl_u16_any *)(d + n - 2) = z;
	} else if (n) {
		*d = *s;
	}
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	void *d = dst;

	if (n <= 64)
		copy_short(dst, src, n);
	else
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (n <= 64) {
		copy_short(d, s, n);
	} else if ((size_t)(d - s) >= n) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
	} else {
		/* Backwards, a vector at a time; the first bytes last. */
		mcl_vec_any first = *(const mcl_vec_any *)s;

		while (n > 16) {
			n -= 16;
			*(mcl_vec_any *)(d + n) = *(const mcl_vec_any *)(s + n);
		}
		*(mcl_vec_any *)d = first;
	}
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;

	if (n <= 32) {
		uint64_t word = (uint8_t)c * 0x0101010101010101ull;

		if (n >= 8) {
			for (size_t i = 0; i + 8 < n; i += 8)
				*(mcl_u64_any *)(d + i) = word;
			*(mcl_u64_any *)(d + n - 8) = word;
		} else {
			while (n--)
				*(volatile uint8_t *)d++ = (uint8_t)c;
		}
	} else {
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
