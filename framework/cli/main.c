#include "cli/core/command.h"

int main(int argc, char **argv)
{
    return bide_cli_main(argc, argv);
}
