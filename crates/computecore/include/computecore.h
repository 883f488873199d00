/* computecore.h - for programs that spell the name of ComputeCore.h in lower case. */
#include "ComputeCore.h"
