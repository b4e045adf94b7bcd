#include "cli/dev/watch.h"

#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bide/log.h"

/* Editors write in place (CLOSE_WRITE), or another file that they rename (MOVED_TO). */
#define CHANGES (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)

static const char *const endings[] = {"bash", "class", "clj", "cjs", "cs", "cts", "ex", "exs", "fs", "go",
    "jar", "java", "jl", "js", "jsx", "kt", "lua", "mjs", "mts", "php", "pl", "pm", "py", "r", "rb", "rs",
    "scala", "sh", "toml", "ts", "tsx", "yaml", "yml", NULL};
static const char *const skipped[] = {"node_modules", "vendor", "__pycache__", NULL};

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "./build/tasks" in the command; not "data.db". */
static bool is_executable(const char *word)
{
    struct stat found;
    return stat(word, &found) == 0 && S_ISREG(found.st_mode) && access(word, X_OK) == 0;
}

static bool is_source(const struct bide_dev_watch *watch, const char *name)
{
    const char *dot = strrchr(name, '.');
    if (strcmp(name, ".env") == 0)
        return true;
    if (*name != '.' && dot && is_one_of(dot + 1, endings))
        return true;
    for (const char *const *word = watch->words; *word; word++)
        if (strcmp(last_part(*word), name) == 0 && is_executable(*word))
            return true;
    return false;
}

/* True where it is one: it is the one that changed last. */
static bool note_source(struct bide_dev_watch *watch, const char *name)
{
    bool noted = is_source(watch, name);
    if (noted)
        snprintf(watch->changed, sizeof watch->changed, "%s", name);
    return noted;
}

/* ---- folders ---- */

static bool is_skipped(const FTSENT *folder)
{
    char mark[PATH_MAX];
    snprintf(mark, sizeof mark, "%s/pyvenv.cfg", folder->fts_path);
    return folder->fts_level > 0 &&
           (*folder->fts_name == '.' || is_one_of(folder->fts_name, skipped) || access(mark, F_OK) == 0);
}

/* True where it was not watched before: numbers of watches only grow, a known folder keeps its own. */
static bool add_folder(struct bide_dev_watch *watch, const char *path)
{
    int number = inotify_add_watch(watch->fd, path, CHANGES | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (number >= 0)
        watch->n_folders++;
    else if (errno != ENOENT)
        watch->failure = errno;
    bool added = number > watch->newest;
    if (added)
        watch->newest = number;
    return added;
}

/* Goes through the working directory and all below it. True where a folder that is new has a source file. */
static bool add_tree(struct bide_dev_watch *watch)
{
    char top[] = ".", *paths[] = {top, NULL};
    bool found = false;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    watch->n_folders = 0;
    for (FTSENT *entry; tree && watch->n_folders < BIDE_DEV_FOLDERS_MAX && (entry = fts_read(tree));)
        if (entry->fts_info != FTS_D)
            found = found || (entry->fts_info != FTS_DP && entry->fts_parent->fts_number == 1 &&
                                 note_source(watch, entry->fts_name));
        else if (is_skipped(entry))
            fts_set(tree, entry, FTS_SKIP);
        else
            entry->fts_number = add_folder(watch, entry->fts_path);
    if (tree)
        fts_close(tree);
    if (watch->n_folders == BIDE_DEV_FOLDERS_MAX)
        watch->failure = EMFILE;
    return found;
}

/* "../tasks/main.py": where the words of the command lie elsewhere. */
static void add_words(struct bide_dev_watch *watch)
{
    char folder[PATH_MAX];
    for (const char *const *word = watch->words; *word; word++) {
        struct stat found;
        int size = (int)(last_part(*word) - *word);
        if (size == 0 || size >= PATH_MAX || stat(*word, &found) != 0 || !S_ISREG(found.st_mode))
            continue;
        snprintf(folder, sizeof folder, "%.*s", size, *word);
        add_folder(watch, folder);
    }
}

static void warn_once(struct bide_dev_watch *watch)
{
    if (watch->failure && !watch->warned)
        bide_log(BIDE_LOG_WARN, "some changes of source files will not be seen",
            BIDE_STR("error", strerror(watch->failure)), BIDE_INT("folders", watch->n_folders));
    watch->warned = watch->warned || watch->failure;
}

void bide_dev_watch_open(struct bide_dev_watch *watch, const char *const *words)
{
    *watch = (struct bide_dev_watch){.words = words, .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
    if (watch->fd < 0) {
        watch->failure = errno;
    } else {
        add_words(watch);
        add_tree(watch);
    }
    warn_once(watch);
}

/* ---- events ---- */

/* True: a source file has changed. Sets *grown where a folder has appeared. */
static bool take(struct bide_dev_watch *watch, const struct inotify_event *event, bool *grown)
{
    if (event->mask & IN_ISDIR) {
        *grown = *grown || event->mask & (IN_CREATE | IN_MOVED_TO);
        return false;
    }
    if (event->mask & IN_Q_OVERFLOW) {
        *grown = true;
        snprintf(watch->changed, sizeof watch->changed, "more than can be told");
        return true;
    }
    return event->len > 0 && note_source(watch, event->name);
}

bool bide_dev_watch_read(struct bide_dev_watch *watch)
{
    _Alignas(struct inotify_event) char events[16 * 1024];
    bool changed = false, grown = false;
    for (ssize_t got; (got = read(watch->fd, events, sizeof events)) > 0;)
        for (const char *at = events; at < events + got;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
            changed = take(watch, event, &grown) || changed;
            at += sizeof *event + event->len;
        }
    if (grown)
        changed = add_tree(watch) || changed;
    warn_once(watch);
    return changed;
}
