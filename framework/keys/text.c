/* A slot and a generation as text. */
#include <stdlib.h>
#include <string.h>

#include "keys/slot.h"
#include "store/store.h"

enum { VERSION = 1, HEX = 16, MAX_DIGITS = 16 };

/* ---- names ---- */

const char *bide_key_state_name(enum bide_key_state state)
{
    static const char *const names[] = {[BIDE_KEY_FREE] = "free",
        [BIDE_KEY_RESERVED] = "reserved",
        [BIDE_KEY_WAITING] = "waiting",
        [BIDE_KEY_RUNNING] = "running",
        [BIDE_KEY_ENDED] = "ended"};
    return names[state];
}

/* ---- numbers ---- */

static char *put(char *to, uint64_t number)
{
    int digits = 1;
    while (digits < MAX_DIGITS && number >> 4 * digits)
        digits++;
    for (int i = digits; i-- > 0;)
        *to++ = "0123456789abcdef"[number >> 4 * i & 0xF];
    *to++ = ' ';
    return to;
}

/* The next number and the blank behind it; *at NULL: there was none. */
static uint64_t take(const char **at, const char *end)
{
    uint64_t number = 0;
    const char *from = *at;
    if (!from)
        return 0;
    for (; *at < end && **at != ' '; ++*at) {
        const char *digits = "0123456789abcdef", *digit = **at ? strchr(digits, **at) : NULL;
        if (!digit || *at - from >= MAX_DIGITS)
            break;
        number = number << 4 | (uint64_t)(digit - digits);
    }
    *at = *at < end && **at == ' ' && *at > from ? *at + 1 : NULL;
    return number;
}

/* ---- generations ---- */

void bide_generation_write(struct bide_generation generation, char to[BIDE_GENERATION_TEXT])
{
    char *end = put(to, generation.life);
    end[-1] = '.';
    end = put(end, generation.count);
    end[-1] = '\0';
}

/* A number and the character behind it. */
static bool take_part(const char **at, char last, size_t most_digits, uint64_t *ret_number)
{
    size_t digits = strspn(*at, "0123456789abcdef");
    if (digits == 0 || digits > most_digits || (*at)[digits] != last)
        return false;
    *ret_number = strtoull(*at, NULL, HEX);
    *at += digits + 1;
    return true;
}

bool bide_generation_read(const char *text, struct bide_generation *ret_generation)
{
    uint64_t life, count;
    if (!take_part(&text, '.', MAX_DIGITS / 2, &life) || !take_part(&text, '\0', MAX_DIGITS, &count) ||
        count == 0)
        return false;
    *ret_generation = (struct bide_generation){(uint32_t)life, count};
    return true;
}

/* ---- slots ---- */

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Only one copy was ever sent for it, and that one has run: there is nothing to remember. */
static bool is_over(const struct bide_key_slot *slot)
{
    return slot->state == BIDE_KEY_ENDED && slot->last == 1 && slot->n_spared == 0 && !slot->cancelled;
}

static int64_t lasts_ms(const struct bide_key_slot *slot, int64_t now_ms)
{
    int64_t lasts = most(slot->last_due_ms - now_ms, 0) + BIDE_KEY_SLACK_MS;
    if (is_over(slot))
        lasts = 0;
    lasts = most(lasts, slot->hold_ms);
    if (slot->state == BIDE_KEY_RESERVED)
        lasts = most(most(lasts, slot->lease_ms), slot->was_hold_ms);
    return lasts < BIDE_STORE_LASTS_MAX_MS ? lasts : BIDE_STORE_LASTS_MAX_MS;
}

/* A time that runs out, as the part of `lasts` that is left by then, and 1 more: the store counts down. */
static uint64_t left_then(int64_t lasts, int64_t ms)
{
    return ms < 0 ? 0 : (uint64_t)(lasts - ms) + 1;
}

static int64_t left_now(int64_t lasts, uint64_t left)
{
    return left ? most(lasts - (int64_t)(left - 1), 0) : -1;
}

void bide_key_write(struct bide_key_slot *slot, int64_t now_ms, char to[BIDE_KEY_TEXT], size_t *ret_size,
    int64_t *ret_lasts_ms)
{
    bool reserved = slot->state == BIDE_KEY_RESERVED;
    int64_t lasts = lasts_ms(slot, now_ms);
    if (lasts == 0)
        slot->state = BIDE_KEY_FREE;
    *ret_size = 0;
    *ret_lasts_ms = lasts;
    if (slot->state == BIDE_KEY_FREE)
        return;
    const uint64_t numbers[] = {VERSION, slot->life, slot->holder, slot->last, slot->floor,
        (uint64_t)slot->due_ms, (uint64_t)slot->last_due_ms, (uint64_t)slot->not_before_ms,
        (uint64_t)slot->first_ms, slot->cancelled, left_then(lasts, slot->hold_ms),
        reserved ? left_then(lasts, slot->was_hold_ms) : 0, reserved ? left_then(lasts, slot->lease_ms) : 0,
        reserved ? slot->was : 0, reserved ? slot->token : 0, slot->n_spared};
    char *end = to;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        end = put(end, numbers[i]);
    for (unsigned i = 0; i < slot->n_spared; i++)
        end = put(end, slot->spared[i]);
    size_t size = strlen(slot->id);
    memcpy(end, slot->id, size);
    end[size] = '\n'; /* no slot's text is the beginning of another's */
    *ret_size = (size_t)(end - to) + size + 1;
}

static bool read_id(const char *at, const char *end, char to[BIDE_ID_MAX + 1])
{
    size_t size = at && end > at ? (size_t)(end - at) - 1 : SIZE_MAX;
    if (size > BIDE_ID_MAX || at[size] != '\n')
        return false;
    memcpy(to, at, size);
    to[size] = '\0';
    return true;
}

static bool read_spared(const char **at, const char *end, struct bide_key_slot *slot)
{
    uint64_t n = take(at, end);
    if (!*at || n > BIDE_KEY_SPARED_MAX)
        return false;
    slot->n_spared = (unsigned)n;
    for (unsigned i = 0; i < slot->n_spared; i++)
        slot->spared[i] = take(at, end);
    return true;
}

bool bide_key_read(struct bide_slice data, unsigned state, int64_t lasts_ms, struct bide_key_slot *ret_slot)
{
    struct bide_key_slot slot = {.state = (enum bide_key_state)state, .hold_ms = -1, .was_hold_ms = -1};
    if (state != BIDE_KEY_FREE) {
        const char *at = data.bytes, *end = data.bytes + data.size;
        uint64_t version = take(&at, end);
        slot.life = (uint32_t)take(&at, end);
        slot.holder = take(&at, end);
        slot.last = take(&at, end);
        slot.floor = take(&at, end);
        slot.due_ms = (int64_t)take(&at, end);
        slot.last_due_ms = (int64_t)take(&at, end);
        slot.not_before_ms = (int64_t)take(&at, end);
        slot.first_ms = (int64_t)take(&at, end);
        slot.cancelled = take(&at, end);
        slot.hold_ms = left_now(lasts_ms, take(&at, end));
        slot.was_hold_ms = left_now(lasts_ms, take(&at, end));
        slot.lease_ms = most(left_now(lasts_ms, take(&at, end)), 0);
        slot.was = (enum bide_key_state)take(&at, end);
        slot.token = take(&at, end);
        if (!at || version != VERSION || state > BIDE_KEY_ENDED || slot.was > BIDE_KEY_ENDED ||
            !read_spared(&at, end, &slot) || !read_id(at, end, slot.id))
            return false;
    }
    *ret_slot = slot;
    return true;
}

bool bide_key_guess(const struct bide_message *message, struct bide_key_slot *ret_slot)
{
    struct bide_generation own;
    if (!bide_generation_read(message->generation, &own) || own.count != 1)
        return false;
    *ret_slot = (struct bide_key_slot){.state = BIDE_KEY_WAITING,
        .life = own.life,
        .holder = 1,
        .last = 1,
        .floor = 2,
        .hold_ms = -1,
        .was_hold_ms = -1,
        .due_ms = message->due_ms,
        .last_due_ms = message->due_ms,
        .first_ms = message->sent_ms};
    memcpy(ret_slot->id, message->id, strlen(message->id) + 1);
    return true;
}
