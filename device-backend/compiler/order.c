// SPDX-License-Identifier: MIT
/* Looking for what makes the order of work-groups matter; see order.h. Changes nothing in the program. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/llvm_c.h"
#include "compiler/order.h"

/* A kernel that calls more functions than this, one in the other, is not looked into. */
#define MAX_FUNCTIONS 4096u

struct mcl_order {
	struct mcl_llvm llvm;
	llvm_ref context, module;
};

/* The functions that a kernel can reach, each once. */
struct walk {
	const struct mcl_llvm *llvm;
	llvm_ref seen[MAX_FUNCTIONS];
	uint32_t count;
	bool any; /* order, as far as has been seen */
};

static void reach(struct walk *w, llvm_ref function)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->seen[i] == function)
			return;
	if (w->count == MAX_FUNCTIONS)
		w->any = false;
	else
		w->seen[w->count++] = function;
}

/*
 * By name, since what the built-in functions are made of need not show it: POCL's names are those of OpenCL C, mangled. A
 * barrier is of the own group only, and so are copies to local memory.
 */
static bool name_tells(const char *name)
{
	static const char *const words[] = { "atom", "mem_fence", "printf", "pipe" };

	for (uint32_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(name, words[i]))
			return true;
	return false;
}

static void look_at_call(struct walk *w, llvm_ref call)
{
	llvm_ref callee = w->llvm->IsAFunction(w->llvm->GetCalledValue(call));
	size_t length;

	/* Through a pointer, or inline assembly. */
	if (!callee || name_tells(w->llvm->GetValueName2(callee, &length)))
		w->any = false;
	else
		reach(w, callee);
}

static void look_at(struct walk *w, llvm_ref instruction)
{
	if (mcl_llvm_synchronises(w->llvm, instruction))
		w->any = false;
	else if (w->llvm->GetInstructionOpcode(instruction) == LLVM_CALL)
		look_at_call(w, instruction);
}

struct mcl_order *mcl_order_open(const void *bitcode, size_t size)
{
	struct mcl_order *order = calloc(1, sizeof(*order));
	const struct mcl_llvm *l;
	llvm_ref buffer;

	if (!order || !mcl_llvm_load(&order->llvm))
		goto err_free;
	l = &order->llvm;
	order->context = l->ContextCreate();
	buffer = l->CreateMemoryBufferWithMemoryRangeCopy(bitcode, size, "program");
	if (l->ParseBitcodeInContext2(order->context, buffer, &order->module))
		goto err_context;
	l->DisposeMemoryBuffer(buffer);
	return order;

err_context:
	l->DisposeMemoryBuffer(buffer);
	l->ContextDispose(order->context);
err_free:
	free(order);
	return NULL;
}

void mcl_order_close(struct mcl_order *order)
{
	if (!order)
		return;
	order->llvm.DisposeModule(order->module);
	order->llvm.ContextDispose(order->context);
	free(order);
}

bool mcl_order_any(const struct mcl_order *order, const char *kernel)
{
	const struct mcl_llvm *l;
	llvm_ref function;
	struct walk *w;
	bool any;

	if (!order)
		return false;
	l = &order->llvm;
	function = l->GetNamedFunction(order->module, kernel);
	if (!function || !l->GetFirstBasicBlock(function))
		return false;
	w = malloc(sizeof(*w));
	if (!w)
		return false;
	w->llvm = l;
	w->count = 0;
	w->any = true;
	reach(w, function);
	for (uint32_t i = 0; w->any && i < w->count; i++)
		for (llvm_ref b = l->GetFirstBasicBlock(w->seen[i]); w->any && b; b = l->GetNextBasicBlock(b))
			for (llvm_ref n = l->GetFirstInstruction(b); w->any && n; n = l->GetNextInstruction(n))
				look_at(w, n);
	any = w->any;
	free(w);
	return any;
}
