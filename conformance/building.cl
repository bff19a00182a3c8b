/* SPDX-License-Identifier: MIT */

// fill_cache: -D VALUE=17 -cl-std=CL2.0
// fill_cache: -DVALUE=18 -cl-fast-relaxed-math -Werror

/* What an option of the build says. */
kernel void f(global int *p)
{
	*p = VALUE;
}
