/* metrics/circuit.h: whether a type's messages are run (outcome/breaker.h). The numbers are those of the
 * metric bide_circuit_state. */
#ifndef BIDE_METRICS_CIRCUIT_H
#define BIDE_METRICS_CIRCUIT_H

enum bide_circuit { BIDE_CIRCUIT_CLOSED, BIDE_CIRCUIT_HALF_OPEN, BIDE_CIRCUIT_OPEN };

#endif
