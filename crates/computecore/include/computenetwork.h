/* computenetwork.h - for programs that spell the name of ComputeNetwork.h in lower case. */
#include "ComputeNetwork.h"
