/* combaseapi.h - the same as objbase.h of this folder. */
#include "objbase.h"
