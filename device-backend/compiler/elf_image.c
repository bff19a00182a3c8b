// SPDX-License-Identifier: MIT
/* Shared objects to images; see elf_image.h. */
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/elf_image.h"

#define PAGE 4096ull
#define MAX_LOADS 32
#define MAX_MEMORY (1ull << 30)

/* One PT_LOAD, and what of it is worth keeping. */
struct load {
	uint64_t start, end; /* addresses of the kept sections; start == end: nothing is kept */
	uint32_t prot;
};

struct reading {
	Elf *elf;
	uint8_t *memory; /* the object as it would lie in memory from address 0 */
	uint64_t memory_size;
	struct load loads[MAX_LOADS];
	GElf_Phdr headers[MAX_LOADS];
	unsigned int load_count;
	uint64_t base; /* page where the image starts */
	struct mcl_reason *why;
};

static const char *const symbol_names[MCL_CO_SYM_COUNT] = {
	[MCL_CO_SYM_MEMCPY] = "memcpy",	    [MCL_CO_SYM_MEMSET] = "memset", [MCL_CO_SYM_MEMMOVE] = "memmove",
	[MCL_CO_SYM_SNPRINTF] = "snprintf", [MCL_CO_SYM_WRITE] = "write",
};

static int torn(struct reading *r, const char *what)
{
	return mcl_reason(r->why, -EBADMSG, "POCL's shared object is not usable: %s", what);
}

static int read_program_headers(struct reading *r, size_t size)
{
	GElf_Ehdr header;
	size_t count;

	if (elf_kind(r->elf) != ELF_K_ELF || !gelf_getehdr(r->elf, &header) || gelf_getclass(r->elf) != ELFCLASS64 ||
	    header.e_machine != EM_X86_64 || header.e_type != ET_DYN)
		return torn(r, "it is not an x86-64 shared object");
	if (elf_getphdrnum(r->elf, &count) != 0)
		return torn(r, "it has no program headers");
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(r->elf, (int)i, &p))
			return torn(r, "its program headers are torn");
		if (p.p_type == PT_TLS)
			return mcl_reason(r->why, -ENOTSUP,
					  "the kernel needs thread-local storage, which the device does not have");
		if (p.p_type != PT_LOAD || p.p_memsz == 0)
			continue;
		if (r->load_count == MAX_LOADS)
			return torn(r, "it has too many segments");
		if (p.p_filesz > p.p_memsz || p.p_offset > size || p.p_filesz > size - p.p_offset ||
		    p.p_vaddr > MAX_MEMORY || p.p_memsz > MAX_MEMORY)
			return torn(r, "a segment lies outside the file");
		if ((p.p_flags & PF_W) && (p.p_flags & PF_X))
			return torn(r, "a segment is writable and executable");
		r->headers[r->load_count] = p;
		r->loads[r->load_count].prot = (p.p_flags & PF_R ? MCL_CO_READ : 0) |
					       (p.p_flags & PF_W ? MCL_CO_WRITE : 0) |
					       (p.p_flags & PF_X ? MCL_CO_EXEC : 0);
		r->load_count++;
		if (p.p_vaddr + p.p_memsz > r->memory_size)
			r->memory_size = p.p_vaddr + p.p_memsz;
	}
	return 0;
}

static int fill_memory(struct reading *r, const uint8_t *bytes)
{
	r->memory = calloc(1, r->memory_size ? r->memory_size : 1);
	if (!r->memory)
		return mcl_reason(r->why, -ENOMEM, "no memory for a kernel of %llu bytes",
				  (unsigned long long)r->memory_size);
	for (unsigned int i = 0; i < r->load_count; i++)
		memcpy(r->memory + r->headers[i].p_vaddr, bytes + r->headers[i].p_offset, r->headers[i].p_filesz);
	return 0;
}

/* Whether running code can refer to this section. The rest is for the dynamic linker and for unwinding. */
static bool runs(const GElf_Shdr *s, const char *name)
{
	switch (s->sh_type) {
	case SHT_PROGBITS:
	case SHT_NOBITS:
		return strcmp(name, ".eh_frame") != 0 && strcmp(name, ".eh_frame_hdr") != 0;
	case SHT_DYNSYM:
	case SHT_STRTAB:
	case SHT_HASH:
	case SHT_GNU_HASH:
	case SHT_GNU_versym:
	case SHT_GNU_verneed:
	case SHT_GNU_verdef:
	case SHT_NOTE:
	case SHT_RELA:
	case SHT_DYNAMIC:
	case SHT_X86_64_UNWIND:
		return false;
	default:
		return true;
	}
}

/* Decide from the sections which part of every segment is kept. */
static int keep_sections(struct reading *r)
{
	size_t names;
	Elf_Scn *scn = NULL;

	if (elf_getshdrstrndx(r->elf, &names) != 0)
		return torn(r, "it has no section headers");
	while ((scn = elf_nextscn(r->elf, scn))) {
		const char *name;
		GElf_Shdr s;

		if (!gelf_getshdr(scn, &s))
			return torn(r, "its section headers are torn");
		name = elf_strptr(r->elf, names, s.sh_name);
		if (!name)
			return torn(r, "its section names are torn");
		if (!(s.sh_flags & SHF_ALLOC) || s.sh_size == 0)
			continue;
		switch (s.sh_type) {
		case SHT_INIT_ARRAY:
		case SHT_FINI_ARRAY:
		case SHT_PREINIT_ARRAY:
			return mcl_reason(r->why, -ENOTSUP,
					  "the kernel has constructors or destructors, which the device does not run");
		case SHT_REL:
		case SHT_RELR:
			return torn(r, "it has relocations of an unknown form");
		}
		if (!runs(&s, name))
			continue;
		for (unsigned int i = 0; i < r->load_count; i++) {
			const GElf_Phdr *p = &r->headers[i];
			struct load *load = &r->loads[i];

			if (s.sh_addr < p->p_vaddr || s.sh_addr - p->p_vaddr > p->p_memsz ||
			    s.sh_size > p->p_memsz - (s.sh_addr - p->p_vaddr))
				continue;
			if (load->start == load->end) {
				load->start = s.sh_addr;
				load->end = s.sh_addr + s.sh_size;
			} else {
				load->start = s.sh_addr < load->start ? s.sh_addr : load->start;
				load->end = s.sh_addr + s.sh_size > load->end ? s.sh_addr + s.sh_size : load->end;
			}
			break;
		}
	}
	return 0;
}

/* Round the kept parts to pages and find where the image starts. */
static int lay_out(struct reading *r, struct mcl_co_image *image)
{
	uint64_t end = 0;

	r->base = UINT64_MAX;
	for (unsigned int i = 0; i < r->load_count; i++) {
		struct load *load = &r->loads[i];

		if (load->start == load->end)
			continue;
		load->start -= load->start % PAGE;
		if (load->start < end)
			return torn(r, "two of its segments share a page, or are out of order");
		if (r->base == UINT64_MAX)
			r->base = load->start;
		end = (load->end + PAGE - 1) / PAGE * PAGE;
	}
	if (r->base == UINT64_MAX)
		return torn(r, "it is empty");
	image->mem_size = end - r->base;
	return 0;
}

static void add_segments(const struct reading *r, struct mcl_co_writer *w, struct mcl_co_image *image)
{
	for (unsigned int i = 0; i < r->load_count; i++) {
		const struct load *load = &r->loads[i];
		struct mcl_co_segment segment = { .prot = load->prot };
		uint64_t data_end;
		uint32_t index;

		if (load->start == load->end)
			continue;
		/* Memory is zero to begin with: trailing zeros need no place in the file. */
		for (data_end = load->end; data_end > load->start && r->memory[data_end - 1] == 0;)
			data_end--;
		segment.mem_offset = load->start - r->base;
		segment.mem_size = load->end - load->start;
		segment.data_size = data_end - load->start;
		segment.data_offset = mcl_co_writer_data(w, r->memory + load->start, segment.data_size);
		index = mcl_co_writer_append(w, &w->segments, &segment, sizeof(segment));
		if (image->segment_count++ == 0)
			image->first_segment = index;
	}
}

static const struct load *load_of(const struct reading *r, uint64_t address, uint64_t size)
{
	for (unsigned int i = 0; i < r->load_count; i++) {
		const struct load *load = &r->loads[i];

		if (address >= load->start && address < load->end && size <= load->end - address)
			return load;
	}
	return NULL;
}

static int symbol_value(struct reading *r, const GElf_Sym *symbol, const char *name, uint64_t addend,
			struct mcl_co_reloc *reloc, bool *absolute)
{
	*absolute = false;
	reloc->addend = addend;
	if (GELF_ST_TYPE(symbol->st_info) == STT_TLS || GELF_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
		return mcl_reason(r->why, -ENOTSUP,
				  "the kernel's symbol '%.100s' is of a kind that the device does not have", name);
	if (symbol->st_shndx != SHN_UNDEF) {
		reloc->symbol = MCL_CO_SYM_BASE;
		reloc->addend = addend + symbol->st_value - r->base;
		return 0;
	}
	for (uint32_t i = 0; i < MCL_CO_SYM_COUNT; i++) {
		if (symbol_names[i] && strcmp(symbol_names[i], name) == 0) {
			reloc->symbol = i;
			return 0;
		}
	}
	if (GELF_ST_BIND(symbol->st_info) != STB_WEAK)
		return mcl_reason(r->why, -ENOTSUP,
				  "the kernel calls the function '%.100s', which the device does not have", name);
	*absolute = true;
	return 0;
}

/* One relocation: an entry for the table, or nothing if its place is not kept. */
static int add_relocation(struct reading *r, struct mcl_co_writer *w, struct mcl_co_image *image, const GElf_Rela *rela,
			  Elf_Data *symbols, size_t names)
{
	struct mcl_co_reloc reloc = { 0 };
	bool absolute = false;
	const char *name;
	GElf_Sym symbol;
	uint32_t index;
	int err;

	if (!load_of(r, rela->r_offset, sizeof(uint64_t)))
		return 0;
	reloc.where = rela->r_offset - r->base;
	switch (GELF_R_TYPE(rela->r_info)) {
	case R_X86_64_NONE:
		return 0;
	case R_X86_64_RELATIVE:
		reloc.symbol = MCL_CO_SYM_BASE;
		reloc.addend = (uint64_t)rela->r_addend - r->base;
		break;
	case R_X86_64_64:
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		if (!symbols || !gelf_getsym(symbols, (int)GELF_R_SYM(rela->r_info), &symbol))
			return torn(r, "a relocation names no symbol");
		name = elf_strptr(r->elf, names, symbol.st_name);
		if (!name)
			return torn(r, "a symbol has no name");
		err = symbol_value(r, &symbol, name,
				   GELF_R_TYPE(rela->r_info) == R_X86_64_64 ? (uint64_t)rela->r_addend : 0, &reloc,
				   &absolute);
		if (err)
			return err;
		break;
	default:
		return mcl_reason(r->why, -ENOTSUP,
				  "the kernel needs a relocation of type %u, which the loader does not know",
				  (unsigned int)GELF_R_TYPE(rela->r_info));
	}
	if (absolute) {
		/* A weak function that does not exist is a null pointer, which needs no relocation. */
		memcpy(r->memory + rela->r_offset, &reloc.addend, sizeof(reloc.addend));
		return 0;
	}
	index = mcl_co_writer_append(w, &w->relocs, &reloc, sizeof(reloc));
	if (image->reloc_count++ == 0)
		image->first_reloc = index;
	return 0;
}

static int add_relocations(struct reading *r, struct mcl_co_writer *w, struct mcl_co_image *image)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(r->elf, scn))) {
		Elf_Data *relas, *symbols = NULL;
		GElf_Shdr s, linked = { 0 };
		Elf_Scn *link;

		if (!gelf_getshdr(scn, &s) || s.sh_type != SHT_RELA || !(s.sh_flags & SHF_ALLOC) || s.sh_size == 0)
			continue;
		relas = elf_getdata(scn, NULL);
		link = s.sh_link ? elf_getscn(r->elf, s.sh_link) : NULL;
		if (link && gelf_getshdr(link, &linked))
			symbols = elf_getdata(link, NULL);
		if (!relas)
			return torn(r, "its relocations are torn");
		for (int i = 0; (uint64_t)i < s.sh_size / sizeof(Elf64_Rela); i++) {
			GElf_Rela rela;
			int err;

			if (!gelf_getrela(relas, i, &rela))
				return torn(r, "its relocations are torn");
			err = add_relocation(r, w, image, &rela, symbols, linked.sh_link);
			if (err)
				return err;
		}
	}
	return 0;
}

static int find_entry(struct reading *r, const char *wanted, uint64_t *entry)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(r->elf, scn))) {
		Elf_Data *symbols;
		GElf_Shdr s;

		if (!gelf_getshdr(scn, &s) || s.sh_type != SHT_DYNSYM)
			continue;
		symbols = elf_getdata(scn, NULL);
		for (int i = 0; symbols && (uint64_t)i < s.sh_size / sizeof(Elf64_Sym); i++) {
			const char *name;
			GElf_Sym symbol;

			if (!gelf_getsym(symbols, i, &symbol) || symbol.st_shndx == SHN_UNDEF)
				continue;
			name = elf_strptr(r->elf, s.sh_link, symbol.st_name);
			if (!name || strcmp(name, wanted) != 0)
				continue;
			if (!load_of(r, symbol.st_value, 1))
				break;
			*entry = symbol.st_value - r->base;
			return 0;
		}
	}
	return mcl_reason(r->why, -EBADMSG, "POCL's shared object has no function '%.200s'", wanted);
}

int mcl_elf_image_add(struct mcl_co_writer *w, const void *bytes, size_t size, const char *symbol, uint32_t *image,
		      uint64_t *entry, struct mcl_reason *why)
{
	struct reading r = { .why = why };
	struct mcl_co_image result = { 0 };
	char *copy;
	int err;

	/* Aligned, and libelf's to write to. */
	copy = malloc(size ? size : 1);
	if (!copy)
		return mcl_reason(why, -ENOMEM, "no memory for a kernel of %zu bytes", size);
	memcpy(copy, bytes, size);
	elf_version(EV_CURRENT);
	r.elf = elf_memory(copy, size);
	if (!r.elf) {
		err = torn(&r, "it is not an ELF file");
		goto out_free;
	}
	err = read_program_headers(&r, size);
	if (!err)
		err = fill_memory(&r, (const uint8_t *)bytes);
	if (!err)
		err = keep_sections(&r);
	if (!err)
		err = lay_out(&r, &result);
	if (!err)
		err = add_relocations(&r, w, &result);
	if (!err)
		err = find_entry(&r, symbol, entry);
	if (!err) {
		add_segments(&r, w, &result);
		*image = mcl_co_writer_append(w, &w->images, &result, sizeof(result));
	}
	elf_end(r.elf);
	free(r.memory);
out_free:
	free(copy);
	return err;
}
