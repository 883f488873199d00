/* computedefs.h - for programs that spell the name of ComputeDefs.h in lower case. */
#include "ComputeDefs.h"
