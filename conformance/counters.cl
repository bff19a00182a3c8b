/* SPDX-License-Identifier: MIT */

kernel void touch(global uchar *p, ulong pages, uint write, global uint *sum)
{
	uint total = 0;

	for (ulong i = 0; i < pages; i++) {
		if (write)
			p[i * 4096] = (uchar)(i + 1);
		else
			total += p[i * 4096];
	}
	*sum = total;
}
