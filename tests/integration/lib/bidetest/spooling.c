/* spooling BROKER SPOOL NAMESPACE QUEUE FIRST N: sends messages of type journal, one a call, every fifth of
 * them in a second. */
#include <bide/producer.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

static void send_one(bide_producer *producer, const char *queue, int number)
{
    bide_message *message;
    bide_error error;
    char id[64];
    snprintf(id, sizeof id, "%s-%06d", queue, number);
    if (bide_message_create("journal", &message, &error) != BIDE_OK ||
        bide_message_set_id(message, id, &error) != BIDE_OK ||
        bide_message_set_queue(message, queue, &error) != BIDE_OK ||
        (number % 5 == 0 && bide_message_set_delay_ms(message, 1000, &error) != BIDE_OK) ||
        bide_producer_send(producer, message, &error) != BIDE_OK)
        errx(1, "%s", error.text);
    puts(bide_message_id(message));
    fflush(stdout);
    bide_message_destroy(message);
}

int main(int count, char **words)
{
    bide_producer *producer;
    bide_error error;
    if (count != 7)
        errx(64, "wrong usage");
    const bide_spool spool = {.url = words[2]};
    const char *const queues[] = {words[4]};
    const bide_producer_options options = {.name_space = words[3], .queues = queues, .n_queues = 1};
    if (bide_producer_open_with_spool(words[1], NULL, &options, &spool, &producer, &error) != BIDE_OK)
        errx(1, "%s", error.text);
    for (int i = atoi(words[5]), end = i + atoi(words[6]); i < end; i++)
        send_one(producer, words[4], i);
    bide_producer_close(producer);
    return 0;
}
