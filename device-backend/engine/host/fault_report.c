// SPDX-License-Identifier: MIT
/*
 * What a person is told about a kernel that was aborted: which one, where, what it touched, and what lies there in the host. Always
 * printed, once for each packet, before the packet's event ends, and noted for the program, which may ask for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/host/backend_private.h"

#define FAR (1ull << 30) /* beyond that a mapping has nothing to do with an address */

struct mapping {
	uint64_t start, end;
	char perms[5];
	char name[160];
};

static uint64_t distance_to(const struct mapping *m, uint64_t address)
{
	return address < m->start ? m->start - address : address >= m->end ? address - m->end + 1 : 0;
}

/* The mapping at @address, or else the nearest one. Returns 1: found, 0: only near, -1: unknown. */
static int find_mapping(uint64_t address, struct mapping *out)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t least = UINT64_MAX;
	char line[512];
	int found = -1;

	if (!maps)
		return -1;
	while (found != 1 && fgets(line, sizeof(line), maps)) {
		struct mapping m = { 0 };
		uint64_t distance;
		int at = 0;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &m.start, &m.end, m.perms, &at) < 3)
			continue;
		if (at)
			snprintf(m.name, sizeof(m.name), "%.*s", (int)strcspn(line + at, "\n"), line + at);
		distance = distance_to(&m, address);
		if (distance >= least)
			continue;
		least = distance;
		*out = m;
		found = distance == 0;
	}
	fclose(maps);
	return found;
}

enum access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_JUMP,
};

static enum access access_of(const struct mcl_cu_fault *f)
{
	return f->error & 16 ? ACCESS_JUMP : f->error & 2 ? ACCESS_WRITE : ACCESS_READ;
}

/* Why the access failed although @m is there, to stand before its rights. */
static const char *describe_refusal(const struct mcl_cu_fault *f, const struct mapping *m)
{
	static const char *const words[] = {
		[ACCESS_READ] = ", which may not be read",
		[ACCESS_WRITE] = ", which may not be written",
		[ACCESS_JUMP] = ", which may not be executed",
	};
	const enum access access = access_of(f);

	if (m->perms[access] != "rwx"[access])
		return words[access];
	return f->signo == SIGBUS && m->name[0] == '/' ? ", a file that ends before" : "";
}

static void describe_place(const struct mcl_cu_fault *f, char *text, size_t size)
{
	const uint64_t address = f->address;
	struct mapping m;
	const int found = find_mapping(address, &m);
	const char *const name = found >= 0 && m.name[0] ? m.name : "anonymous memory";

	if (found == 1)
		snprintf(text, size, "there is %s%s (%s, 0x%" PRIx64 "-0x%" PRIx64 ")", name, describe_refusal(f, &m),
			 m.perms, m.start, m.end);
	else if (address < 65536)
		snprintf(text, size, "a null pointer: nothing is mapped there");
	else if (address >> 47)
		snprintf(text, size, "no program can have anything there");
	else if (found == 0 && distance_to(&m, address) > FAR)
		snprintf(text, size, "nothing is mapped there or near it");
	else if (found == 0)
		snprintf(text, size,
			 "nothing is mapped there; %" PRIu64 " byte%s %s %s (%s, 0x%" PRIx64 "-0x%" PRIx64 ")",
			 distance_to(&m, address), distance_to(&m, address) == 1 ? "" : "s",
			 address < m.start ? "below" : "after the end of", name, m.perms, m.start, m.end);
	else
		snprintf(text, size, "what is mapped there is not known");
}

static const char *trap_name(const struct mcl_cu_fault *f)
{
	switch (f->trap) {
	case 0:
		return "integer division by zero or overflow";
	case 3:
		return "breakpoint instruction";
	case 6:
		return "illegal instruction";
	case 16:
	case 19:
		return "floating-point exception";
	case 17:
		return "misaligned access";
	default:
		return f->signo == SIGFPE ? "arithmetic exception" :
		       f->signo == SIGILL ? "illegal instruction" :
					    "exception";
	}
}

/* Exceptions 12 and 13: the processor does not say which address it was. Nothing can be mapped at such. */
#define BITS_DIFFER " (bits 47 to 63 are not alike, so that nothing can be there)"

static void describe_protection(const struct mcl_cu_fault *f, char *text, size_t size)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					     "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15" };
	size_t used;

	if (f->trap == 12 || f->suspect_count)
		used = (size_t)snprintf(text, size, "access to an address that is not canonical%s", BITS_DIFFER);
	else
		used = (size_t)snprintf(text, size, "a misaligned vector access, or an address that is not canonical%s",
					BITS_DIFFER);
	for (uint32_t i = 0; i < f->suspect_count && i < MCL_FAULT_SUSPECTS && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s 0x%" PRIx64 " in %s", i ? " or" : ", probably",
					 f->suspect[i], names[f->suspect_register[i] % 16]);
	if (used < size)
		snprintf(text + used, size - used, "%s; the processor does not tell the address",
			 f->trap == 13 && f->suspect_count ? ", or a misaligned vector access" : "");
}

/* An access whose address is known. */
static bool is_access(const struct mcl_cu_fault *f)
{
	return !f->stack_overflow && f->overrun != MCL_OVERRUN_RETURN && (f->signo == SIGSEGV || f->signo == SIGBUS) &&
	       f->trap == 14;
}

/* Its own memory: what is mapped there in the host is nobody's business. */
static void describe_overrun(const struct mcl_cu_fault *f, const char *verb, char *text, size_t size)
{
	static const char *const places[] = {
		[MCL_OVERRUN_ABOVE] = "beyond the end of its private arrays",
		[MCL_OVERRUN_BELOW] = "before the beginning of its private arrays",
		[MCL_OVERRUN_LOCAL_BELOW] = "before the beginning of its local memory",
		[MCL_OVERRUN_LOCAL_ABOVE] = "beyond the end of its local memory",
	};

	if (f->overrun == MCL_OVERRUN_RETURN)
		snprintf(text, size,
			 "it wrote beyond the end of a private array, over the address it was to return to: 0x%" PRIx64,
			 f->address);
	else if (f->overrun == MCL_OVERRUN_FRAME)
		snprintf(text, size,
			 "it wrote beyond the end of a private array, over what was to be restored at its end");
	else
		snprintf(text, size, "%s 0x%" PRIx64 ": %s", verb, f->address, places[f->overrun]);
}

static void describe_cause(const struct mcl_cu_fault *f, char *text, size_t size)
{
	static const char *const verbs[] = {
		[ACCESS_READ] = "read from",
		[ACCESS_WRITE] = "write to",
		[ACCESS_JUMP] = "jump to",
	};
	char place[320];

	if (f->overrun != MCL_OVERRUN_NONE) {
		describe_overrun(f, verbs[access_of(f)], text, size);
	} else if (f->stack_overflow) {
		snprintf(text, size, "its private memory does not fit on the %llu MiB stack of a compute unit",
			 MCL_CU_STACK_SIZE >> 20);
	} else if (is_access(f)) {
		describe_place(f, place, sizeof(place));
		snprintf(text, size, "%s 0x%" PRIx64 ": %s", verbs[access_of(f)], f->address, place);
	} else if (f->trap == 12 || f->trap == 13) {
		describe_protection(f, text, size);
	} else {
		snprintf(text, size, "%s", trap_name(f));
	}
}

/* The packet that was aborted. */
struct packet {
	const struct mcl_ring *owner; /* NULL: not known, or nobody will ask */
	uint64_t seq; /* of the owner */
	enum mcl_status status;
	const char *kernel; /* stays where it is until the packet is complete; "": none */
	uint64_t group[3]; /* of a kernel */
	char text[256];
};

static void describe_packet(struct mcl_backend *b, const struct mcl_cu_fault *f, struct packet *out)
{
	struct mcl_hw_ring *hw;
	const struct mcl_slot_record *r;
	struct mcl_packet *p;

	*out = (struct packet){ .status = MCL_STATUS_FAULT, .kernel = "" };
	pthread_mutex_lock(&b->rings_lock);
	hw = f->ring < MCL_RINGS ? b->hw[f->ring] : NULL;
	pthread_mutex_unlock(&b->rings_lock);
	if (!hw) {
		snprintf(out->text, sizeof(out->text), "a command aborted");
		return;
	}
	p = &hw->mem->slots[f->seq % MCL_RING_SLOTS];
	out->status = atomic_load(&p->status);
	pthread_mutex_lock(&hw->lock);
	r = &hw->records[f->seq % MCL_RING_SLOTS];
	if (r->code && r->kernel != UINT32_MAX) {
		const struct mcl_code_object *co = r->code->first.co;

		out->kernel = mcl_co_string(co, co->kernels[r->kernel].name);
	}
	if (r->owner != b->own) {
		out->owner = r->owner;
		out->seq = r->local_seq;
	}
	if (p->op == MCL_OP_KERNEL && out->kernel[0]) {
		const uint64_t *n = p->kernel.context.num_groups;

		out->group[0] = f->group % n[0];
		out->group[1] = f->group / n[0] % n[1];
		out->group[2] = f->group / n[0] / n[1];
		snprintf(out->text, sizeof(out->text),
			 "kernel '%s' aborted in work-group (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ")", out->kernel,
			 out->group[0], out->group[1], out->group[2]);
	} else if (p->op == MCL_OP_KERNEL) {
		snprintf(out->text, sizeof(out->text), "the initialiser of program-scope variables aborted");
	} else {
		snprintf(out->text, sizeof(out->text), "a %s aborted",
			 p->op == MCL_OP_COPY ? "copy" :
			 p->op == MCL_OP_FILL ? "fill" :
						"command");
	}
	pthread_mutex_unlock(&hw->lock);
}

/* Where in which loaded code the instruction is, for those who disassemble. */
static void describe_code(struct mcl_backend *b, uint64_t pc, char *text, size_t size)
{
	const uint64_t offset = pc - b->window.base;

	text[0] = 0;
	pthread_mutex_lock(&b->programs_lock);
	for (const struct mcl_program_code *p = b->programs; p && !text[0]; p = p->next)
		for (const struct mcl_loaded *l = &p->first; l && !text[0];
		     l = l == &p->first ? atomic_load(&((struct mcl_program_code *)p)->more) : l->next)
			for (uint32_t i = 0; offset - l->offset < l->size && i < l->co->header->images.count; i++)
				if (pc - l->image_base[i] < l->co->images[i].mem_size)
					snprintf(text, size, " [image %u + 0x%" PRIx64 "]", i, pc - l->image_base[i]);
	pthread_mutex_unlock(&b->programs_lock);
}

/* For the application, which may ask for it: mcl_ring_abort(). */
static void keep(struct mcl_backend *b, const struct mcl_cu_fault *f, const struct packet *packet, const char *text)
{
	const size_t name_size = strlen(packet->kernel) + 1;
	struct mcl_abort *abort;

	if (!packet->owner)
		return;
	abort = calloc(1, sizeof(*abort) + name_size);
	if (!abort)
		return;
	abort->status = packet->status;
	if (is_access(f)) {
		static const enum mcl_abort_access accesses[] = {
			[ACCESS_READ] = MCL_ABORT_READ,
			[ACCESS_WRITE] = MCL_ABORT_WRITE,
			[ACCESS_JUMP] = MCL_ABORT_EXECUTE,
		};

		abort->access = accesses[access_of(f)];
		abort->address = f->address;
	}
	memcpy(abort->group, packet->group, sizeof(abort->group));
	snprintf(abort->text, sizeof(abort->text), "%s", text);
	memcpy(abort->kernel, packet->kernel, name_size);
	mcl_abort_keep(b, packet->owner, packet->seq, abort);
}

#define PREFIX "mirrorcl: "

void mcl_fault_report(struct mcl_backend *b, const struct mcl_cu_fault *fault)
{
	char cause[512], code[64], line[1024];
	struct packet packet;
	ssize_t n;

	describe_packet(b, fault, &packet);
	describe_cause(fault, cause, sizeof(cause));
	describe_code(b, fault->pc, code, sizeof(code));
	n = snprintf(line, sizeof(line), PREFIX "%s: %s%s", packet.text, cause, code);
	if (n > (ssize_t)sizeof(line) - 2)
		n = sizeof(line) - 2;
	keep(b, fault, &packet, line + strlen(PREFIX));
	line[n++] = '\n';
	/* One write, so that it does not mix with the output of others. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nobody to tell */
}
