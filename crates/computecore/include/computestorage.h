/* computestorage.h - for programs that spell the name of ComputeStorage.h in lower case. */
#include "ComputeStorage.h"
