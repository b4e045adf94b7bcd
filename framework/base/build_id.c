#include "base/build_id.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

/* The library to find, and where to write its build id. */
struct wanted {
    ElfW(Addr) base;
    char *to;
};

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

static void write_hex(const unsigned char *bytes, size_t n, char *to)
{
    for (size_t i = 0; i < n && 2 * i + 2 < BIDE_BUILD_ID_TEXT; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

/* Reads a segment of notes: each has a header, a name and a description. */
static void read_notes(const unsigned char *at, size_t size, char *to)
{
    ElfW(Nhdr) head;
    while (size >= sizeof head) {
        memcpy(&head, at, sizeof head);
        size_t name = padded(head.n_namesz), whole = sizeof head + name + padded(head.n_descsz);
        if (whole > size)
            return;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(at + sizeof head, "GNU", 4) == 0)
            write_hex(at + sizeof head + name, head.n_descsz, to);
        at += whole;
        size -= whole;
    }
}

static int look_at(struct dl_phdr_info *object, size_t size, void *user)
{
    const struct wanted *wanted = user;
    (void)size;
    if (object->dlpi_addr != wanted->base)
        return 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_NOTE) {
            const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
            read_notes(
                (const unsigned char *)(wanted->base + segment->p_vaddr), segment->p_memsz, wanted->to);
        }
    return 1;
}

void bide_build_id(void *library, char to[BIDE_BUILD_ID_TEXT])
{
    struct link_map *map;
    *to = '\0';
    if (dlinfo(library, RTLD_DI_LINKMAP, &map) == 0)
        dl_iterate_phdr(look_at, &(struct wanted){map->l_addr, to});
}
