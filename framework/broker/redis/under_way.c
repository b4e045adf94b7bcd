#include "broker/redis/receiver.h"

#include "base/alloc.h"

struct bide_redis_command *bide_redis_receiver_note(
    struct bide_redis_receiver *receiver, enum bide_redis_command_kind kind, struct bide_redis_queue *queue)
{
    struct bide_redis_command *command = bide_calloc(1, sizeof *command);
    if (!command)
        return NULL;
    command->kind = kind;
    command->queue = queue;
    command->fault_kind = receiver->args.kind;
    bide_redis_chain_init(&command->chain);
    command->deadline_us = bide_mono_us(receiver->settings->clock) + receiver->settings->timeout_ms * 1000;
    *receiver->commands_end = command;
    receiver->commands_end = &command->next;
    receiver->unsent = true;
    return command;
}

void bide_redis_receiver_begin_script(
    struct bide_redis_receiver *receiver, enum bide_redis_script script, const struct bide_redis_queue *queue)
{
    struct bide_redis_args *args = &receiver->args;
    const char *name_space = receiver->settings->name_space, *worker = receiver->links.worker;
    bide_redis_link_script(receiver->links.work, args, script, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(args, name_space, queue->name);
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_keys_claimed(args, name_space, queue->name, worker);
    bide_redis_args_text(args, worker);
    bide_redis_args_text(args, queue->name);
    bide_redis_keys_wake(args, name_space);
}
