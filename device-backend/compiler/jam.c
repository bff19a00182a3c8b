// SPDX-License-Identifier: MIT
/*
 * Unroll-and-jam of work-item loops; see jam.h.
 *
 * LLVM's pass does the work but has to be convinced: it asks alias analysis whether two accesses of different iterations
 * may meet, which OpenCL's answer to is "not so that it matters". So the accesses in the loop are marked as disjoint while
 * that pass runs, and only then: within one work-item they may well meet, and later passes must know. The pass keeps the
 * order of accesses within each iteration.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/jam.h"
#include "compiler/llvm_c.h"

/* Work-items that go through an inner loop together: a vector register of floats. */
#define JAM 16
/* A loop with more accesses is no tight loop; marks grow with the square. */
#define MAX_ACCESSES 64
#define MAX_BLOCKS 2000

struct block {
	llvm_ref ref;
	uint32_t preds[8], pred_count; /* more than that: the function is left alone */
};

struct loop {
	uint32_t header, latch;
	bool work_items; /* POCL's, over work-items without barriers between them */
	bool *body; /* one for each block */
	uint32_t size; /* blocks in it */
};

struct jam {
	const struct mcl_llvm *llvm;
	llvm_ref context, module;
	unsigned int kind_loop, kind_scope, kind_noalias;
	struct block *blocks;
	uint32_t block_count;
	struct loop *loops;
	uint32_t loop_count;
	llvm_ref accesses[MAX_ACCESSES];
	uint32_t access_count;
};

/* ---- loops ---- */

static uint32_t block_index(const struct jam *j, llvm_ref ref)
{
	for (uint32_t i = 0; i < j->block_count; i++)
		if (j->blocks[i].ref == ref)
			return i;
	return UINT32_MAX;
}

static bool collect_blocks(struct jam *j, llvm_ref function)
{
	const struct mcl_llvm *l = j->llvm;

	j->block_count = 0;
	for (llvm_ref b = l->GetFirstBasicBlock(function); b; b = l->GetNextBasicBlock(b)) {
		if (j->block_count == MAX_BLOCKS)
			return false;
		j->blocks[j->block_count++] = (struct block){ .ref = b };
	}
	for (uint32_t i = 0; i < j->block_count; i++) {
		llvm_ref end = l->GetBasicBlockTerminator(j->blocks[i].ref);

		for (unsigned int s = 0; s < l->GetNumSuccessors(end); s++) {
			struct block *to = &j->blocks[block_index(j, l->GetSuccessor(end, s))];

			if (to->pred_count == sizeof(to->preds) / sizeof(*to->preds))
				return false;
			to->preds[to->pred_count++] = i;
		}
	}
	return true;
}

/* Whether the loop's metadata says @word. */
static bool loop_says(const struct jam *j, llvm_ref terminator, const char *word)
{
	const struct mcl_llvm *l = j->llvm;
	llvm_ref id = l->GetMetadata(terminator, j->kind_loop), *operands, *inner;
	unsigned int count = id ? l->GetMDNodeNumOperands(id) : 0, length;
	bool found = false;

	operands = calloc(count + 1, sizeof(llvm_ref));
	if (!operands)
		return false;
	if (count)
		l->GetMDNodeOperands(id, operands);
	for (unsigned int i = 1; i < count && !found; i++) {
		unsigned int n = operands[i] ? l->GetMDNodeNumOperands(operands[i]) : 0;
		const char *text;

		if (!n)
			continue;
		inner = calloc(n, sizeof(llvm_ref));
		if (!inner)
			break;
		l->GetMDNodeOperands(operands[i], inner);
		text = inner[0] ? l->GetMDString(inner[0], &length) : NULL;
		found = text && length == strlen(word) && memcmp(text, word, length) == 0;
		free(inner);
	}
	free(operands);
	return found;
}

/* The blocks from which @latch can be reached without passing @header. */
static bool find_body(const struct jam *j, struct loop *loop)
{
	uint32_t *todo = calloc(j->block_count, sizeof(*todo)), count = 0;

	loop->body = calloc(j->block_count, sizeof(bool));
	if (!todo || !loop->body) {
		free(todo);
		return false;
	}
	loop->body[loop->header] = true;
	loop->size = 1;
	if (loop->latch != loop->header) {
		loop->body[loop->latch] = true;
		loop->size++;
		todo[count++] = loop->latch;
	}
	while (count) {
		const struct block *b = &j->blocks[todo[--count]];

		for (uint32_t i = 0; i < b->pred_count; i++) {
			if (loop->body[b->preds[i]])
				continue;
			loop->body[b->preds[i]] = true;
			loop->size++;
			todo[count++] = b->preds[i];
		}
	}
	free(todo);
	/* The entry block in it: it is no loop, the back edge came from elsewhere. */
	return !loop->body[0];
}

static void free_loops(struct jam *j)
{
	for (uint32_t i = 0; j->loops && i < j->loop_count; i++)
		free(j->loops[i].body);
	j->loop_count = 0;
}

/*
 * Loops with metadata on a branch back. clang gives it to every loop of the source and POCL to its own; a loop without is
 * not seen, which can only make a loop around it look simpler than it is, and LLVM's pass then refuses.
 */
static bool collect_loops(struct jam *j)
{
	const struct mcl_llvm *l = j->llvm;

	for (uint32_t i = 0; i < j->block_count; i++) {
		llvm_ref end = l->GetBasicBlockTerminator(j->blocks[i].ref);

		if (l->GetInstructionOpcode(end) != LLVM_BR || !l->GetMetadata(end, j->kind_loop))
			continue;
		for (unsigned int s = 0; s < l->GetNumSuccessors(end); s++) {
			struct loop loop = { .header = block_index(j, l->GetSuccessor(end, s)), .latch = i };

			loop.work_items = loop_says(j, end, "llvm.loop.parallel_accesses") &&
					  !loop_says(j, end, "llvm.loop.isvectorized");
			if (find_body(j, &loop) && loop.size < j->block_count)
				j->loops[j->loop_count++] = loop;
			else
				free(loop.body);
		}
	}
	return true;
}

static bool contains(const struct jam *j, const struct loop *outer, const struct loop *inner)
{
	if (outer == inner || outer->size <= inner->size)
		return false;
	for (uint32_t i = 0; i < j->block_count; i++)
		if (inner->body[i] && !outer->body[i])
			return false;
	return true;
}

/* A loop over work-items that holds exactly one loop, and that one is the kernel's. */
static bool is_candidate(const struct jam *j, const struct loop *loop)
{
	const struct loop *inner = NULL;

	if (!loop->work_items)
		return false;
	for (uint32_t i = 0; i < j->loop_count; i++) {
		if (!contains(j, loop, &j->loops[i]))
			continue;
		if (inner || j->loops[i].work_items)
			return false;
		inner = &j->loops[i];
	}
	return inner;
}

/* ---- safety ---- */

static bool harmless_call(const struct jam *j, llvm_ref call)
{
	static const char *const known[] = { "fmuladd.", "fma.",      "sqrt.",	"fabs.",	 "floor.",
					     "ceil.",	 "trunc.",    "rint.",	"round.",	 "minnum.",
					     "maxnum.",	 "copysign.", "smin.",	"smax.",	 "umin.",
					     "umax.",	 "abs.",      "ctpop.", "ctlz.",	 "cttz.",
					     "bswap.",	 "fshl.",     "fshr.",	"canonicalize.", "nearbyint." };
	llvm_ref callee = j->llvm->GetCalledValue(call);
	size_t length = 0;
	const char *name = callee ? j->llvm->GetValueName2(callee, &length) : NULL;

	if (!name || length < 5 || memcmp(name, "llvm.", 5) != 0)
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strncmp(name + 5, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

/* Whether no work-item could notice the others in @loop. Its accesses go to j->accesses. */
static bool is_safe(struct jam *j, const struct loop *loop)
{
	const struct mcl_llvm *l = j->llvm;

	j->access_count = 0;
	for (uint32_t b = 0; b < j->block_count; b++) {
		for (llvm_ref i = l->GetFirstInstruction(j->blocks[b].ref); i; i = l->GetNextInstruction(i)) {
			const int opcode = l->GetInstructionOpcode(i);

			if (opcode == LLVM_ALLOCA)
				return false; /* anywhere: it may be private memory */
			if (!loop->body[b])
				continue;
			if (mcl_llvm_synchronises(l, i) || (opcode == LLVM_CALL && !harmless_call(j, i)))
				return false;
			if (opcode != LLVM_LOAD && opcode != LLVM_STORE)
				continue;
			if (j->access_count == MAX_ACCESSES)
				return false;
			j->accesses[j->access_count++] = i;
		}
	}
	return true;
}

/* ---- metadata ---- */

static llvm_ref text(const struct jam *j, const char *string)
{
	return j->llvm->MDStringInContext2(j->context, string, strlen(string));
}

static llvm_ref node(const struct jam *j, llvm_ref *operands, size_t count)
{
	return j->llvm->MDNodeInContext2(j->context, operands, count);
}

/* Give the loop one more property: {@name} or {@name, @value}. */
static bool add_property(const struct jam *j, const struct loop *loop, const char *name, unsigned int value)
{
	const struct mcl_llvm *l = j->llvm;
	llvm_ref branch = l->GetBasicBlockTerminator(j->blocks[loop->latch].ref);
	llvm_ref id = l->GetMetadata(branch, j->kind_loop);
	const unsigned int count = l->GetMDNodeNumOperands(id);
	llvm_ref *operands = calloc(count + 1, sizeof(llvm_ref)), property[2], self;

	if (!operands)
		return false;
	l->GetMDNodeOperands(id, operands);
	for (unsigned int i = 1; i < count; i++)
		operands[i] = l->ValueAsMetadata(operands[i]);
	property[0] = text(j, name);
	property[1] = value ? l->ValueAsMetadata(l->ConstInt(l->Int32TypeInContext(j->context), value, 0)) : NULL;
	operands[count] = node(j, property, value ? 2 : 1);
	/* A loop's identity is a node that begins with itself. */
	operands[0] = l->TemporaryMDNode(j->context, NULL, 0);
	self = node(j, operands, count + 1);
	l->MetadataReplaceAllUsesWith(operands[0], self);
	l->SetMetadata(branch, j->kind_loop, l->MetadataAsValue(j->context, self));
	free(operands);
	return true;
}

/* Every access in a scope of its own, and disjoint from all other scopes. */
static void mark_accesses(struct jam *j)
{
	const struct mcl_llvm *l = j->llvm;
	llvm_ref scopes[MAX_ACCESSES], others[MAX_ACCESSES], parts[2];

	for (uint32_t i = 0; i < j->access_count; i++) {
		char name[32];

		parts[0] = text(j, "mirrorcl work-items");
		parts[1] = node(j, parts, 1);
		snprintf(name, sizeof(name), "mirrorcl access %u", i);
		parts[0] = text(j, name);
		scopes[i] = node(j, parts, 2);
	}
	for (uint32_t i = 0; i < j->access_count; i++) {
		uint32_t count = 0;

		for (uint32_t k = 0; k < j->access_count; k++)
			if (k != i)
				others[count++] = scopes[k];
		l->SetMetadata(j->accesses[i], j->kind_scope, l->MetadataAsValue(j->context, node(j, &scopes[i], 1)));
		l->SetMetadata(j->accesses[i], j->kind_noalias, l->MetadataAsValue(j->context, node(j, others, count)));
	}
}

/* From every access of the module, with what else said so: the source's restrict has done its work in POCL. */
static void unmark(const struct jam *j)
{
	const struct mcl_llvm *l = j->llvm;

	for (llvm_ref f = l->GetFirstFunction(j->module); f; f = l->GetNextFunction(f))
		for (llvm_ref b = l->GetFirstBasicBlock(f); b; b = l->GetNextBasicBlock(b))
			for (llvm_ref i = l->GetFirstInstruction(b); i; i = l->GetNextInstruction(i)) {
				const int opcode = l->GetInstructionOpcode(i);

				if (opcode != LLVM_LOAD && opcode != LLVM_STORE)
					continue;
				l->SetMetadata(i, j->kind_scope, NULL);
				l->SetMetadata(i, j->kind_noalias, NULL);
			}
}

/* Prepare every loop of @function that can be jammed. Returns how many. */
static uint32_t prepare(struct jam *j, llvm_ref function)
{
	uint32_t found = 0;

	j->blocks = calloc(MAX_BLOCKS, sizeof(*j->blocks));
	j->loops = calloc(2 * MAX_BLOCKS, sizeof(*j->loops));
	if (!j->blocks || !j->loops || !collect_blocks(j, function) || !j->block_count || !collect_loops(j))
		goto out;
	for (uint32_t i = 0; i < j->loop_count; i++) {
		struct loop *loop = &j->loops[i];

		if (!is_candidate(j, loop) || !is_safe(j, loop))
			continue;
		if (!add_property(j, loop, "llvm.loop.unroll_and_jam.enable", 0) ||
		    !add_property(j, loop, "llvm.loop.unroll_and_jam.count", JAM))
			continue;
		mark_accesses(j);
		found++;
		/* What is around it would only multiply the code. */
		for (uint32_t k = 0; k < j->loop_count; k++)
			if (contains(j, &j->loops[k], loop))
				add_property(j, &j->loops[k], "llvm.loop.unroll.disable", 0);
	}
out:
	free_loops(j);
	free(j->blocks);
	free(j->loops);
	j->blocks = NULL;
	j->loops = NULL;
	return found;
}

int mcl_jam_file(const char *path, struct mcl_reason *why)
{
	struct mcl_llvm llvm;
	const struct mcl_llvm *l = &llvm;
	struct jam j = { .llvm = l };
	llvm_ref buffer, module, target, machine, options;
	uint32_t found = 0;
	char *message;

	if (!mcl_llvm_load(&llvm))
		return mcl_reason(why, -ENOENT, "%s cannot be used", MCL_LLVM_LIBRARY);
	j.context = l->GetGlobalContext();
	if (l->CreateMemoryBufferWithContentsOfFile(path, &buffer, &message) ||
	    l->ParseBitcodeInContext2(j.context, buffer, &module))
		return mcl_reason(why, -EIO, "%.200s is no bitcode", path);
	j.module = module;
	j.kind_loop = l->GetMDKindID("llvm.loop", strlen("llvm.loop"));
	j.kind_scope = l->GetMDKindID("alias.scope", strlen("alias.scope"));
	j.kind_noalias = l->GetMDKindID("noalias", strlen("noalias"));
	for (llvm_ref f = l->GetFirstFunction(j.module); f; f = l->GetNextFunction(f))
		if (l->GetFirstBasicBlock(f))
			found += prepare(&j, f);
	if (!found)
		return 0;

	l->InitializeX86TargetInfo();
	l->InitializeX86Target();
	l->InitializeX86TargetMC();
	if (l->GetTargetFromTriple(l->GetTarget(j.module), &target, &message))
		return mcl_reason(why, -EIO, "LLVM does not know the target");
	/* Only its cost model is used; each function names its processor itself. */
	machine = l->CreateTargetMachine(target, l->GetTarget(j.module), "", "", 3, 2, 0);
	options = l->CreatePassBuilderOptions();
	if (!machine || !options)
		return mcl_reason(why, -EIO, "LLVM does not know the target");
	l->PassBuilderOptionsSetSLPVectorization(options, 1);
	if (l->RunPasses(j.module, "function(loop-simplify,lcssa,loop-unroll-and-jam)", machine, options))
		return mcl_reason(why, -EIO, "LLVM has no such pass");
	unmark(&j);
	if (l->RunPasses(j.module, "default<O3>", machine, options) || l->VerifyModule(j.module, 2, &message))
		return mcl_reason(why, -EIO, "LLVM's passes failed");
	if (l->WriteBitcodeToFile(j.module, path))
		return mcl_reason(why, -EIO, "cannot write %.200s", path);
	return 1;
}
