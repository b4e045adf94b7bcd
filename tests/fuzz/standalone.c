/* tests/fuzz/standalone.c: a small main for fuzz targets where libFuzzer is not there.
 *
 *     fuzz_url SECONDS FILE-OR-FOLDER…
 *
 * Runs every file of the corpus, then random mutations of them for so many seconds (0: none). The seed is
 * shown and may be given as FUZZ_SEED. What broke the target is left in fuzz-crash-PID.bin in the working
 * directory. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { INPUT_MAX = 4096, CORPUS_MAX = 1024, MUTATIONS_MAX = 8, RUNS_PER_LOOK = 256 };

struct input {
    uint8_t bytes[INPUT_MAX];
    size_t size;
};

static struct input *corpus[CORPUS_MAX];
static size_t corpus_size;
static struct input present; /* what is being run: for the one who finds the crash */
static uint64_t random_state;

static uint64_t draw(uint64_t below) /* splitmix64 (S. Vigna 2015) */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (z ^ z >> 31) % below;
}

static void keep_crash(void)
{
    char path[64];
    snprintf(path, sizeof path, "fuzz-crash-%d.bin", (int)getpid());
    FILE *file = fopen(path, "wb");
    if (!file)
        return;
    fwrite(present.bytes, 1, present.size, file);
    fclose(file);
    fprintf(stderr, "the input that broke it: %s\n", path);
}

static void on_abort(int number)
{
    keep_crash();
    signal(number, SIG_DFL);
    raise(number);
}

static void run(void)
{
    uint8_t *exact = malloc(present.size); /* a look behind the end is then seen */
    if (!exact && present.size)
        exit(2);
    if (present.size)
        memcpy(exact, present.bytes, present.size);
    LLVMFuzzerTestOneInput(exact, present.size);
    free(exact);
}

static void load(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode) || corpus_size == CORPUS_MAX)
        return;
    struct input *input = calloc(1, sizeof *input);
    FILE *file = fopen(path, "rb");
    if (input && file) {
        input->size = fread(input->bytes, 1, INPUT_MAX, file);
        corpus[corpus_size++] = input;
    }
    if (file)
        fclose(file);
}

static void load_all(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) {
        load(path);
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder));) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        load(inside);
    }
    closedir(folder);
}

static void splice(const struct input *other)
{
    size_t from = other->size ? draw(other->size) : 0, n = other->size - from;
    size_t at = draw(present.size + 1);
    if (n > INPUT_MAX - at)
        n = INPUT_MAX - at;
    memcpy(present.bytes + at, other->bytes + from, n);
    present.size = at + n;
}

static void insert_bytes(size_t n, uint8_t byte)
{
    size_t at = draw(present.size + 1);
    if (n > INPUT_MAX - present.size)
        return;
    memmove(present.bytes + at + n, present.bytes + at, present.size - at);
    memset(present.bytes + at, byte, n);
    present.size += n;
}

static void erase_bytes(void)
{
    size_t at = draw(present.size), n = 1 + draw(present.size - at);
    if (n > 8)
        n = 1;
    memmove(present.bytes + at, present.bytes + at + n, present.size - at - n);
    present.size -= n;
}

static void mutate(void)
{
    static const char telling[] = "0123456789.:/?@%&=[]{}\",-+ZTsmhd\\\n\0\x7F\x80\xC3\xFF";
    uint8_t byte = (uint8_t)(draw(2) ? telling[draw(sizeof telling)] : (char)draw(256));
    switch (present.size ? draw(6) : 0) {
    case 0:
        insert_bytes(1, byte);
        break;
    case 1:
        insert_bytes(1 + draw(300), byte);
        break;
    case 2:
        present.bytes[draw(present.size)] ^= (uint8_t)(1u << draw(8));
        break;
    case 3:
        present.bytes[draw(present.size)] = byte;
        break;
    case 4:
        erase_bytes();
        break;
    default:
        splice(corpus[draw(corpus_size)]);
    }
}

int main(int argc, char **argv)
{
    const struct bide_clock *clock = bide_clock_system();
    for (int i = 2; i < argc; i++)
        load_all(argv[i]);
    if (argc < 3 || corpus_size == 0) {
        fprintf(stderr, "usage: %s SECONDS FILE-OR-FOLDER... (with at least one input)\n", argv[0]);
        return 64;
    }
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_crash);
    signal(SIGABRT, on_abort);
    const char *seed = getenv("FUZZ_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : (uint64_t)bide_wall_us(clock);
    printf("FUZZ_SEED=%llu\n", (unsigned long long)random_state);
    uint64_t runs = 0;
    for (; runs < corpus_size; runs++) {
        present = *corpus[runs];
        run();
    }
    int64_t end_us = bide_mono_us(clock) + strtoll(argv[1], NULL, 10) * 1000000;
    while (runs % RUNS_PER_LOOK || bide_mono_us(clock) < end_us) {
        present = *corpus[draw(corpus_size)];
        for (uint64_t n = 1 + draw(MUTATIONS_MAX); n > 0; n--)
            mutate();
        run();
        runs++;
    }
    printf("%llu inputs, none broke it\n", (unsigned long long)runs);
    for (size_t i = 0; i < corpus_size; i++)
        free(corpus[i]);
    return 0;
}
