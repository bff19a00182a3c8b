// SPDX-License-Identifier: MIT
/*
 * The engine's own program: an ELF that is part of this library (engine_blob.S), copied into the window and relocated for
 * the window's address.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/host/backend_private.h"

extern const uint8_t mcl_engine_elf[], mcl_engine_elf_end[];

#define PAGE 4096ull
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(PAGE - 1))

static const Elf64_Phdr *segments(const struct mcl_engine_file *f, unsigned int *count)
{
	const Elf64_Ehdr *const e = (const Elf64_Ehdr *)f->bytes;

	*count = e->e_phnum;
	return (const Elf64_Phdr *)(f->bytes + e->e_phoff);
}

int mcl_image_open(struct mcl_engine_file *out, struct mcl_reason *why)
{
	const Elf64_Ehdr *const e = (const Elf64_Ehdr *)mcl_engine_elf;
	const Elf64_Phdr *p;
	unsigned int n;

	out->bytes = mcl_engine_elf;
	/* cppcheck-suppress subtractPointers ; the assembler puts one right behind the other */
	out->size = (size_t)(mcl_engine_elf_end - mcl_engine_elf);
	out->memory = 0;
	if (out->size < sizeof(*e) || memcmp(e->e_ident, ELFMAG, SELFMAG) || e->e_type != ET_DYN ||
	    e->e_machine != EM_X86_64)
		return mcl_reason(why, -ENOEXEC, "the engine inside this library is damaged");
	p = segments(out, &n);
	for (unsigned int i = 0; i < n; i++)
		if (p[i].p_type == PT_LOAD && out->memory < PAGE_UP(p[i].p_vaddr + p[i].p_memsz))
			out->memory = PAGE_UP(p[i].p_vaddr + p[i].p_memsz);
	return 0;
}

/* Where ".mcl_image" lies in the program's memory, or UINT64_MAX. */
static uint64_t find_image_struct(const struct mcl_engine_file *f)
{
	const Elf64_Ehdr *const e = (const Elf64_Ehdr *)f->bytes;
	const Elf64_Shdr *const sections = (const Elf64_Shdr *)(f->bytes + e->e_shoff);
	const char *const names = (const char *)f->bytes + sections[e->e_shstrndx].sh_offset;

	for (unsigned int i = 0; i < e->e_shnum; i++)
		if (!strcmp(names + sections[i].sh_name, ".mcl_image"))
			return sections[i].sh_addr;
	return UINT64_MAX;
}

/* A static PIE with hidden symbols has relative relocations only. */
static int relocate(const struct mcl_engine_file *f, const Elf64_Phdr *dynamic, uint8_t *memory, uint64_t base)
{
	const Elf64_Dyn *d = (const Elf64_Dyn *)(f->bytes + dynamic->p_offset);
	uint64_t table = 0, size = 0;

	for (; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_RELA)
			table = d->d_un.d_ptr;
		else if (d->d_tag == DT_RELASZ)
			size = d->d_un.d_val;
		else if (d->d_tag == DT_NEEDED || d->d_tag == DT_JMPREL || d->d_tag == DT_RELR)
			return -ENOEXEC;
	}
	for (uint64_t i = 0; i < size / sizeof(Elf64_Rela); i++) {
		const Elf64_Rela *const r = (const Elf64_Rela *)(memory + table) + i;
		const uint64_t value = base + (uint64_t)r->r_addend;

		if (ELF64_R_TYPE(r->r_info) != R_X86_64_RELATIVE)
			return -ENOEXEC;
		memcpy(memory + r->r_offset, &value, sizeof(value));
	}
	return 0;
}

int mcl_image_load(const struct mcl_engine_file *file, struct mcl_backend *b, uint64_t *image, struct mcl_reason *why)
{
	const uint64_t offset = b->window.layout.image_offset, base = b->window.base + offset;
	const uint64_t where = find_image_struct(file);
	struct mcl_engine_image *header;
	const Elf64_Phdr *p, *dynamic = NULL;
	unsigned int n;
	uint8_t *memory;
	int err = 0;

	memory = mcl_window_alias(&b->window, offset, file->memory);
	if (!memory)
		return mcl_reason(why, -errno, "cannot map the engine's image: %s", strerror(errno));
	p = segments(file, &n);
	for (unsigned int i = 0; i < n; i++) {
		const uint64_t start = p[i].p_vaddr & ~(PAGE - 1), end = PAGE_UP(p[i].p_vaddr + p[i].p_memsz);
		struct mcl_engine_map *map = &b->control->maps[b->control->map_count];

		if (p[i].p_type == PT_DYNAMIC)
			dynamic = &p[i];
		if (p[i].p_type != PT_LOAD)
			continue;
		if (b->control->map_count == MCL_BOOT_MAPS) {
			err = -ENOEXEC;
			break;
		}
		memcpy(memory + p[i].p_vaddr, file->bytes + p[i].p_offset, p[i].p_filesz);
		map->offset = offset + start;
		map->size = end - start;
		map->prot = (p[i].p_flags & PF_R ? PROT_READ : 0u) | (p[i].p_flags & PF_W ? PROT_WRITE : 0u) |
			    (p[i].p_flags & PF_X ? PROT_EXEC : 0u);
		b->control->map_count++;
		if (mprotect((void *)(uintptr_t)(base + start), end - start, (int)map->prot)) {
			err = -errno;
			break;
		}
	}
	if (!err)
		err = dynamic ? relocate(file, dynamic, memory, base) : -ENOEXEC;
	header = (struct mcl_engine_image *)(memory + (where != UINT64_MAX ? where : 0));
	if (!err && (where == UINT64_MAX || header->magic != MCL_CONTROL_MAGIC))
		err = -ENOEXEC;
	if (!err) {
		header->control = (uintptr_t)b->control;
		*image = base + where;
	}
	munmap(memory, file->memory);
	return err ? mcl_reason(why, err, "cannot load the engine into its window: %s", strerror(-err)) : 0;
}
