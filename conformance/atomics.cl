/* SPDX-License-Identifier: MIT */

/* The counters that host and device fight for; atomics.c has the same. Each on a cache line of its own, but for the packed ones. */
struct shared {
	atomic_uint running; /* how many sides have started */
	char pad0[60];
	atomic_uint add32[4]; /* one for each memory order */
	char pad1[48];
	atomic_ulong add64[4];
	char pad2[32];
	atomic_int cas32;
	char pad3[60];
	atomic_ulong cas64;
	char pad4[56];
	atomic_uint bits; /* or, xor */
	char pad5[60];
	atomic_int lowest, highest;
	char pad6[56];
	atomic_uint lock; /* protects the plain ones */
	uint plain;
	ulong plain64;
	char pad7[48];
	atomic_ulong token; /* exchange */
	char pad8[56];
	ulong tokens_seen[2]; /* sum of tokens got by host and device */
};

/* All rounds of every operation, by one work-item of each group. Wait first until the host has started too. */
kernel void fight(global struct shared *s, uint rounds, uint sides)
{
	ulong tokens = 0;

	atomic_fetch_add_explicit(&s->running, 1, memory_order_relaxed, memory_scope_all_svm_devices);
	while (atomic_load_explicit(&s->running, memory_order_acquire, memory_scope_all_svm_devices) < sides)
		;
	for (uint i = 0; i < rounds; i++) {
		int seen;
		ulong seen64;

		atomic_fetch_add_explicit(&s->add32[0], 1, memory_order_relaxed, memory_scope_all_svm_devices);
		atomic_fetch_add_explicit(&s->add32[1], 2, memory_order_acquire, memory_scope_all_svm_devices);
		atomic_fetch_add_explicit(&s->add32[2], 3, memory_order_release, memory_scope_all_svm_devices);
		atomic_fetch_sub_explicit(&s->add32[3], 1, memory_order_seq_cst, memory_scope_all_svm_devices);
		atomic_fetch_add_explicit(&s->add64[0], 1ul << 32, memory_order_relaxed, memory_scope_all_svm_devices);
		atomic_fetch_add_explicit(&s->add64[1], 3ul, memory_order_acquire, memory_scope_all_svm_devices);
		atomic_fetch_add_explicit(&s->add64[2], 5ul, memory_order_release, memory_scope_all_svm_devices);
		atomic_fetch_sub_explicit(&s->add64[3], 7ul, memory_order_acq_rel, memory_scope_all_svm_devices);

		seen = atomic_load_explicit(&s->cas32, memory_order_relaxed, memory_scope_all_svm_devices);
		while (!atomic_compare_exchange_weak_explicit(&s->cas32, &seen, seen + 3, memory_order_acq_rel,
							      memory_order_relaxed, memory_scope_all_svm_devices))
			;
		seen64 = atomic_load_explicit(&s->cas64, memory_order_seq_cst, memory_scope_all_svm_devices);
		while (!atomic_compare_exchange_strong_explicit(&s->cas64, &seen64, seen64 + (1ul << 33) + 1,
								memory_order_seq_cst, memory_order_seq_cst,
								memory_scope_all_svm_devices))
			;
		atomic_fetch_xor_explicit(&s->bits, 1u << (i % 32), memory_order_relaxed, memory_scope_all_svm_devices);
		atomic_fetch_min_explicit(&s->lowest, -(int)i, memory_order_relaxed, memory_scope_all_svm_devices);
		atomic_fetch_max_explicit(&s->highest, (int)i, memory_order_relaxed, memory_scope_all_svm_devices);

		while (atomic_exchange_explicit(&s->lock, 1, memory_order_acquire, memory_scope_all_svm_devices))
			;
		s->plain++;
		s->plain64 += 3;
		atomic_store_explicit(&s->lock, 0, memory_order_release, memory_scope_all_svm_devices);

		tokens += atomic_exchange_explicit(&s->token, (ulong)i + 1, memory_order_acq_rel,
						   memory_scope_all_svm_devices);
	}
	atomic_fetch_add_explicit((global atomic_ulong *)&s->tokens_seen[1], tokens, memory_order_relaxed,
				  memory_scope_all_svm_devices);
}

/* Many work-items on few counters, none of them told apart: histogram[i] gets items / size each. */
kernel void histogram(global atomic_uint *counters, uint size, uint rounds)
{
	for (uint i = 0; i < rounds; i++)
		atomic_fetch_add_explicit(&counters[(get_global_id(0) + i) % size], 1, memory_order_relaxed,
					  memory_scope_all_svm_devices);
}

/* The old spelling, on plain integers. */
kernel void old_atomics(global volatile int *p)
{
	atomic_add(&p[0], 2);
	atomic_sub(&p[1], 1);
	atomic_inc(&p[2]);
	atomic_dec(&p[3]);
	atomic_min(&p[4], -(int)get_global_id(0));
	atomic_max(&p[5], (int)get_global_id(0));
	atomic_or(&p[6], 1 << (get_global_id(0) % 31));
	atomic_xor(&p[7], 5);
	while (atomic_cmpxchg(&p[8], 0, 1) != 0)
		;
	p[9]++;
	mem_fence(CLK_GLOBAL_MEM_FENCE);
	atomic_xchg(&p[8], 0);
}
