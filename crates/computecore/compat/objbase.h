/*
 * objbase.h - for clients of HCS that include it for CoTaskMemFree, which is in ComputeWin32.h. Optional: see windows.h
 * in this folder.
 */
#ifndef COMPUTECORE_COMPAT_OBJBASE_H
#define COMPUTECORE_COMPAT_OBJBASE_H

#include "windows.h"

#endif /* COMPUTECORE_COMPAT_OBJBASE_H */
