/* What a program writes to its channel: any line is understood, ignored, or refused with a reason. */
#include "fuzz/fuzz.h"

#include "dispatch/program/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct bide_program_said said;
    bide_program_read(&said, (const char *)bytes, size);
    bool fails = said.kind == BIDE_SAID_RETRY || said.kind == BIDE_SAID_DEAD;
    HOLDS(said.kind != BIDE_SAID_NONSENSE || said.text);
    HOLDS(!fails || (said.text && said.run > 0 && said.after_ms >= BIDE_BY_POLICY));
    HOLDS(said.kind != BIDE_SAID_SEND || (json_is_object(said.send) && said.run > 0));
    HOLDS(said.kind != BIDE_SAID_LOG || said.text);
    HOLDS(said.kind != BIDE_SAID_HELLO || (json_is_array(said.types) && said.concurrency > 0));
    bide_program_said_release(&said);
    return 0;
}
