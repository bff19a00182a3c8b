// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's mapping of the host: a cache of the device page table, filled by
 * faults and emptied by hm_engine_shoot_down(), always under context.lock.
 *
 * All mappings of a context's engines are of one inode of its own, so that
 * shooting down finds them by file offset, which is the host's address. They are
 * page frames without references (VM_PFNMAP); shared, so that no copy is ever
 * made.
 *
 * A fault that cannot be served waits without any lock of the engine's process
 * and is then repeated (VM_FAULT_RETRY).
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/sched/signal.h>

#include "internal.h"

/* Build the engine's page table down to the entry of the faulting address. */
static vm_fault_t hm_engine_prepare(struct vm_fault *vmf)
{
	pmd_t pmd = READ_ONCE(*vmf->pmd);

	/* Only changes to none, or under the caller's install lock. */
	if (pmd_leaf(pmd))
		return VM_FAULT_NOPAGE;
	/* A page table stays as long as the mapping. */
	if (!pmd_none(pmd))
		return 0;
	if (hm_inject(HM_INJECT_PAGE_TABLE))
		return VM_FAULT_OOM;
	if (apply_to_page_range(vmf->vma->vm_mm, vmf->address & PAGE_MASK, PAGE_SIZE, NULL, NULL))
		return VM_FAULT_OOM;
	return 0;
}

/* The entry that serves the fault, or 0. context.lock is held. */
static u64 hm_engine_entry(struct hm_context *ctx, struct vm_fault *vmf)
{
	u64 entry = hm_table_lookup(&ctx->table, vmf->pgoff);

	if (vmf->flags & FAULT_FLAG_WRITE && !(entry & HM_PTE_WRITE))
		return 0;
	return entry;
}

/*
 * The engine may write to an entry from now on, and the host's page table will not know:
 * let it believe at once that the page is dirty. Whoever cleans a page takes it away
 * from its mappings first, and from us; then this is done anew. context.lock is held.
 */
static void hm_engine_dirty(u64 entry)
{
	if (!(entry & HM_PTE_VRAM))
		folio_mark_dirty(page_folio(pfn_to_page(entry & HM_PTE_PFN)));
}

/*
 * Insert the entry of one page, or what the context's end makes of that. 0: the device page
 * table does not hold it. The engine's page table is there, and context.lock is held.
 */
static vm_fault_t hm_engine_insert(struct hm_context *ctx, struct vm_fault *vmf, u64 entry)
{
	struct vm_area_struct *vma = vmf->vma;
	vm_flags_t flags = vma->vm_flags;
	vm_fault_t ret;

	if (ctx->dead)
		return VM_FAULT_SIGBUS;
	if (!entry)
		return 0;
	if (!(entry & HM_PTE_WRITE))
		flags &= ~VM_WRITE;
	ret = vmf_insert_pfn_prot(vma, vmf->address & PAGE_MASK, entry & HM_PTE_PFN,
				  vm_get_page_prot(flags));
	if (flags & VM_WRITE)
		hm_engine_dirty(entry);
	if (entry & HM_PTE_VRAM)
		hm_vram_touch(entry & HM_PTE_PFN);
	hm_count(ctx->account, HMM_MIRROR_COUNT_INSERTED_4K, 1);
	return ret;
}

/*
 * The same with no lock held. Until the device page table holds it, no page table is built:
 * one entry of 2 MiB might take its place.
 */
static vm_fault_t hm_engine_install(struct hm_context *ctx, struct vm_fault *vmf)
{
	pmd_t pmd = READ_ONCE(*vmf->pmd);
	bool ready = !pmd_none(pmd) && !pmd_leaf(pmd);
	vm_fault_t ret = 0;
	u64 entry;

	mutex_lock(&ctx->lock);
	entry = hm_engine_entry(ctx, vmf);
	if (ready || !entry || ctx->dead)
		ret = hm_engine_insert(ctx, vmf, entry);
	mutex_unlock(&ctx->lock);
	if (ready || ret || !entry)
		return ret;

	mutex_lock(&ctx->install);
	ret = hm_engine_prepare(vmf);
	if (!ret) {
		mutex_lock(&ctx->lock);
		ret = hm_engine_insert(ctx, vmf, hm_engine_entry(ctx, vmf));
		mutex_unlock(&ctx->lock);
	}
	mutex_unlock(&ctx->install);
	return ret;
}

/* Nothing is there: wait for somebody to change that. */
static vm_fault_t hm_engine_wait(struct hm_context *ctx, struct vm_fault *vmf, int generation)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	bool user = vmf->flags & FAULT_FLAG_USER;
	unsigned long index = vmf->pgoff;
	struct file *file;

	if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
		return VM_FAULT_RETRY;

	/* The mapping may go while its locks are not held, and the context with it. */
	file = get_file(vmf->vma->vm_file);
	release_fault_lock(vmf);

	if (hm_service_covers(&ctx->service, index, index) &&
	    !hm_mirror_fault(ctx, index, write)) {
		hm_queue_answer(ctx, index, index, 0);
	} else {
		hm_queue_wait(ctx, index, write, generation, user);
	}
	fput(file);
	return VM_FAULT_RETRY;
}

static vm_fault_t hm_engine_fault(struct vm_fault *vmf)
{
	struct hm_context *ctx = vmf->vma->vm_file->private_data;
	int generation = atomic_read(&ctx->queue.generation);
	vm_fault_t ret;

	/* An answer after this point makes the queue send us back. */
	smp_rmb();
	ret = hm_engine_install(ctx, vmf);
	if (ret)
		return ret;
	if (hm_queue_take_verdict(&ctx->queue, vmf->pgoff)) {
		hm_count(ctx->account, HMM_MIRROR_COUNT_FAILED, 1);
		return VM_FAULT_SIGSEGV;
	}
	if (!(vmf->flags & FAULT_FLAG_RETRY_NOWAIT) &&
	    hm_service_covers(&ctx->service, vmf->pgoff, vmf->pgoff) &&
	    hm_mirror_fault_try(ctx, vmf->pgoff, vmf->flags & FAULT_FLAG_WRITE)) {
		hm_queue_answer(ctx, vmf->pgoff, vmf->pgoff, 0);
		ret = hm_engine_install(ctx, vmf);
		if (ret)
			return ret;
	}
	return hm_engine_wait(ctx, vmf, generation);
}

/*
 * A fault where the whole 2 MiB could be one entry: nothing is there, or something
 * read-only that is written to. Never waits: what cannot be done here falls back to
 * single pages.
 */
static vm_fault_t hm_engine_huge_fault(struct vm_fault *vmf, unsigned int order)
{
	struct vm_area_struct *vma = vmf->vma;
	struct hm_context *ctx = vma->vm_file->private_data;
	unsigned long address = round_down(vmf->address, HM_BLOCK_SIZE);
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	unsigned long first = round_down(vmf->pgoff, HM_BLOCK_PAGES);
	vm_fault_t ret = VM_FAULT_FALLBACK;
	u64 entry;
	pmd_t pmd;

	if (order != HPAGE_PMD_ORDER)
		return VM_FAULT_FALLBACK;

	hm_inject_sleep(HM_INJECT_TARRY, 500);
	mutex_lock(&ctx->install);
	mutex_lock(&ctx->lock);
	pmd = READ_ONCE(*vmf->pmd);
	/* Another thread built a page table since the core looked, and that stays. */
	if (!pmd_none(pmd) && !pmd_leaf(pmd))
		goto out;
	/* Read-only before: off with it, and this is still a write; see hm_engine_mkwrite(). */
	if (!pmd_none(pmd))
		hm_engine_shoot_down(ctx, vmf->pgoff, vmf->pgoff);
	if (ctx->dead || address < vma->vm_start || address + HM_BLOCK_SIZE > vma->vm_end ||
	    ((address >> PAGE_SHIFT) ^ (vmf->pgoff - ((vmf->address - address) >> PAGE_SHIFT))) %
		    HM_BLOCK_PAGES)
		goto out;
	entry = hm_table_lookup(&ctx->table, first);
	if (!(entry & HM_PTE_HUGE) || (write && !(entry & HM_PTE_WRITE)))
		goto out;
	/*
	 * A writable entry is given out writable at once. A mapping that may not
	 * be written is left to single pages: this call would make it writable.
	 */
	if (!(vma->vm_flags & VM_WRITE))
		goto out;
	ret = hm_insert_pfn_pmd(vmf, entry & HM_PTE_PFN, entry & HM_PTE_WRITE);
	if (entry & HM_PTE_WRITE)
		hm_engine_dirty(entry);
	if (entry & HM_PTE_VRAM)
		hm_vram_touch(entry & HM_PTE_PFN);
	hm_count(ctx->account, HMM_MIRROR_COUNT_INSERTED_2M, 1);
out:
	mutex_unlock(&ctx->lock);
	mutex_unlock(&ctx->install);
	return ret;
}

/*
 * A write to a read-only entry, which the core would make writable. It is served
 * here as a write: an instruction that reads and then writes would else begin with
 * a read again, get the same entry, and so on for ever.
 */
static vm_fault_t hm_engine_mkwrite(struct vm_fault *vmf)
{
	struct hm_context *ctx = vmf->vma->vm_file->private_data;
	int generation = atomic_read(&ctx->queue.generation);
	vm_fault_t ret;
	u64 entry;

	/* An answer after this point makes the queue send us back. */
	smp_rmb();
	mutex_lock(&ctx->lock);
	entry = ctx->dead ? 0 : hm_engine_entry(ctx, vmf);
	if (entry)
		hm_engine_shoot_down(ctx, vmf->pgoff, vmf->pgoff);
	mutex_unlock(&ctx->lock);
	if (entry)
		return hm_engine_install(ctx, vmf) ?: VM_FAULT_NOPAGE;
	if (READ_ONCE(ctx->dead))
		return VM_FAULT_SIGBUS;
	if (hm_queue_take_verdict(&ctx->queue, vmf->pgoff)) {
		hm_count(ctx->account, HMM_MIRROR_COUNT_FAILED, 1);
		return VM_FAULT_SIGSEGV;
	}
	/* The core looks for an error or NOPAGE before it goes on with the entry. */
	ret = hm_engine_wait(ctx, vmf, generation);
	return ret & VM_FAULT_RETRY ? ret | VM_FAULT_NOPAGE : ret;
}

static const struct vm_operations_struct hm_engine_vm_ops = {
	.fault = hm_engine_fault,
	.huge_fault = hm_engine_huge_fault,
	.pfn_mkwrite = hm_engine_mkwrite,
};

/* Take the pages @first to @last away from every engine. context.lock is held. */
void hm_engine_shoot_down(struct hm_context *ctx, unsigned long first, unsigned long last)
{
	unmap_mapping_pages(ctx->mapping, first, last - first + 1, false);
}

static int hm_engine_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hm_context *ctx = file->private_data;
	int ret = 0;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	/* A fault there could not be answered: ranges of no ioctl reach so far. */
	if (vma->vm_pgoff + vma_pages(vma) > TASK_SIZE_MAX >> PAGE_SHIFT)
		return -EINVAL;
	if (READ_ONCE(ctx->dead))
		return -ENXIO;
	mutex_lock(&hm_family);
	if (hm_context_is_host(vma->vm_mm))
		ret = -EDEADLK;
	mutex_unlock(&hm_family);
	if (ret)
		return ret;

	vm_flags_mod(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY, VM_MAYEXEC);
	vma->vm_ops = &hm_engine_vm_ops;
	return 0;
}

/* Whether @mm maps some context. mmap_lock is held. */
bool hm_engine_is_mapped_by(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;

	for_each_vma(vmi, vma)
		if (vma->vm_ops == &hm_engine_vm_ops)
			return true;
	return false;
}

static int hm_engine_release(struct inode *inode, struct file *file)
{
	hm_context_put(file->private_data);
	return 0;
}

static const struct file_operations hm_engine_fops = {
	.owner = THIS_MODULE,
	.mmap = hm_engine_mmap,
	.release = hm_engine_release,
};

/*
 * The inode of the context's engines: that of a file which the context keeps for
 * itself. i_mmap_rwsem gets a class of its own, because it is taken in notifier
 * callbacks, possibly with another file's held.
 */
int hm_engine_create(struct hm_context *ctx)
{
	static struct lock_class_key key;
	struct file *file;

	if (hm_inject(HM_INJECT_ENGINE))
		return -ENOMEM;
	file = anon_inode_create_getfile("[hmm_mirror]", &hm_engine_fops, ctx, O_RDWR, NULL);
	if (IS_ERR(file))
		return PTR_ERR(file);
	kref_get(&ctx->ref);
	ctx->engine = file;
	ctx->mapping = file->f_mapping;
	lockdep_set_class(&ctx->mapping->i_mmap_rwsem, &key);
	return 0;
}

/* A descriptor for an engine. */
int hm_engine_fd(struct hm_context *ctx)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);

	if (fd < 0)
		return fd;
	fd_install(fd, get_file(ctx->engine));
	return fd;
}
