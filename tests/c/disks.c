/*
 * Virtual disks as writable layers: formatted, mounted, set up, written above a layer. That takes root; all of it
 * happens in a directory of its own below /var/tmp.
 */
#include "check.h"

#include <sys/mount.h>
#include <sys/stat.h>

#define BUSY HRESULT_FROM_WIN32(ERROR_BUSY)
#define DENIED HRESULT_FROM_WIN32(ERROR_ACCESS_DENIED)
#define EXISTS HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS)
#define NOT_EMPTY HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY)
#define CORRUPT HRESULT_FROM_WIN32(1392)
#define UNSUPPORTED HRESULT_FROM_WIN32(ERROR_NOT_SUPPORTED)

/* Bytes of a disk. */
enum { DISK = 16 << 20 };

static char place[] = "/var/tmp/hcs-disks-XXXXXX";

#include "place.h"

/* A LayerData document with the base layer. */
static PCWSTR above_base(void)
{
    return wide(text("{\"Layers\":[{\"Path\":\"%s\"}]}", at("base")));
}

static int exists(const char *directory, const char *name)
{
    struct stat found;
    return lstat(text("%s/%s", directory, name), &found) == 0;
}

/* A VHD of fixed size, or of another kind, as a handle. */
static HANDLE vhd(const char *name, char kind)
{
    static const char magic[] = "conectix";
    int made = open(at(name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    REQUIRE(made > 0);
    REQUIRE(ftruncate(made, DISK + 512) == 0);
    REQUIRE(pwrite(made, magic, 8, DISK) == 8 && pwrite(made, &kind, 1, DISK + 63) == 1);
    return (HANDLE)(uintptr_t)made;
}

static void closed(HANDLE handle)
{
    close((int)(uintptr_t)handle);
}

/* Where a disk is mounted, as the host has it; to be freed. */
static char *mounted(HANDLE disk)
{
    PWSTR found = NULL;
    char *narrow = (char *)calloc(1, LONGEST);
    size_t i;
    REQUIRE(narrow != NULL && HcsGetLayerVhdMountPath(disk, &found) == S_OK);
    for (i = 0; found[i] != 0 && i + 1 < LONGEST; i++) {
        narrow[i] = (char)found[i];
    }
    LocalFree(found);
    return narrow;
}

/* What are no files, for each function that takes one. */
static void handles(void)
{
    PWSTR out = (PWSTR)&check_failures;
    HANDLE closed_one = (HANDLE)(uintptr_t)999, none = (HANDLE)&check_failures;
    HANDLE disk = vhd("handles.vhd", 2);
    CONFORMS_HR("HcsFormatWritableLayerVhd/E_INVALIDARG", HcsFormatWritableLayerVhd(NULL), E_INVALIDARG);
    CONFORMS_HR("HcsFormatWritableLayerVhd/E_HANDLE", HcsFormatWritableLayerVhd(closed_one), E_HANDLE);
    CONFORMS_HR("HcsFormatWritableLayerVhd/E_HANDLE", HcsFormatWritableLayerVhd(none), E_HANDLE);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(NULL, &out), E_INVALIDARG);
    CHECK(out == NULL);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_INVALIDARG", HcsGetLayerVhdMountPath(disk, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsGetLayerVhdMountPath/E_HANDLE", HcsGetLayerVhdMountPath(closed_one, &out), E_HANDLE);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_INVALIDARG", HcsSetupBaseOSLayer(NULL, disk, W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_INVALIDARG", HcsSetupBaseOSLayer(path("base"), NULL, W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_INVALIDARG", HcsSetupBaseOSLayer(path("base"), disk, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_INVALIDARG", HcsSetupBaseOSLayer(W("base"), disk, W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSLayer/E_HANDLE", HcsSetupBaseOSLayer(path("base"), closed_one, W("{}")), E_HANDLE);
    closed(disk);
}

static void formatting(void)
{
    PWSTR out = NULL;
    HANDLE disk = vhd("disk.vhd", 2), growing = vhd("growing.vhd", 3), read_only;
    char *point;
    CONFORMS_HR("HcsGetLayerVhdMountPath/HCS_E_INVALID_LAYER", HcsGetLayerVhdMountPath(disk, &out),
                HCS_E_INVALID_LAYER);
    CONFORMS_HR("HcsFormatWritableLayerVhd/kind", HcsFormatWritableLayerVhd(growing), UNSUPPORTED);
    CONFORMS_HR("HcsGetLayerVhdMountPath/kind", HcsGetLayerVhdMountPath(growing, &out), UNSUPPORTED);
    REQUIRE(ftruncate((int)(uintptr_t)growing, DISK) == 0);
    CONFORMS_HR("HcsFormatWritableLayerVhd/no disk", HcsFormatWritableLayerVhd(growing), CORRUPT);
    CONFORMS_HR("HcsGetLayerVhdMountPath/no disk", HcsGetLayerVhdMountPath(growing, &out), CORRUPT);
    closed(growing);
    read_only = (HANDLE)(uintptr_t)open(at("disk.vhd"), O_RDONLY | O_CLOEXEC);
    CONFORMS_HR("HcsFormatWritableLayerVhd/denied", HcsFormatWritableLayerVhd(read_only), DENIED);
    closed(read_only);
    CONFORMS_HR("HcsFormatWritableLayerVhd/S_OK", HcsFormatWritableLayerVhd(disk), S_OK);
    REQUIRE(fchmod((int)(uintptr_t)disk, 0622) == 0);
    CONFORMS_HR("HcsGetLayerVhdMountPath/denied", HcsGetLayerVhdMountPath(disk, &out), DENIED);
    REQUIRE(fchmod((int)(uintptr_t)disk, 0600) == 0);
    point = mounted(disk);
    CONFORMS("HcsGetLayerVhdMountPath/S_OK", point[0] == '/' && exists(point, "lost+found"));
    CONFORMS_HR("HcsFormatWritableLayerVhd/busy", HcsFormatWritableLayerVhd(disk), BUSY);
    CONFORMS_HR("HcsSetupBaseOSLayer/busy", HcsSetupBaseOSLayer(path("base"), disk, W("{}")), BUSY);
    /* Another call finds it there, by any handle. */
    CHECK_HR(HcsInitializeWritableLayer(wide(point), above_base(), NULL), S_OK);
    CONFORMS("HcsGetLayerVhdMountPath/mounts", exists(point, "upper"));
    CHECK_HR(HcsAttachLayerStorageFilter(wide(point), above_base()), S_OK);
    CHECK(exists(point, "below"));
    CHECK_HR(HcsDetachLayerStorageFilter(wide(point)), S_OK);
    CONFORMS("HcsGetLayerVhdMountPath/unmount", umount2(point, UMOUNT_NOFOLLOW) == 0);
    CHECK_HR(HcsFormatWritableLayerVhd(disk), S_OK);
    free(point);
    closed(disk);
}

static void setting_up(void)
{
    HANDLE disk = vhd("base.vhd", 2);
    char *point;
    CHECK_HR(HcsFormatWritableLayerVhd(disk), S_OK);
    CONFORMS_HR("HcsSetupBaseOSLayer/Vm", HcsSetupBaseOSLayer(path("base"), disk, W("{\"Type\":\"Vm\"}")),
                UNSUPPORTED);
    CONFORMS_HR("HcsSetupBaseOSLayer/HCS_E_INVALID_JSON", HcsSetupBaseOSLayer(path("base"), disk, W("{")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsSetupBaseOSLayer/missing", HcsSetupBaseOSLayer(path("none"), disk, W("{}")),
                HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND));
    CONFORMS_HR("HcsSetupBaseOSLayer/S_OK", HcsSetupBaseOSLayer(path("base"), disk, W("{\"Type\":\"Container\"}")),
                S_OK);
    CONFORMS_HR("HcsSetupBaseOSLayer/exists", HcsSetupBaseOSLayer(path("base"), disk, W("")), EXISTS);
    point = mounted(disk);
    CHECK(exists(point, "upper") && exists(point, "work"));
    CHECK(umount2(point, UMOUNT_NOFOLLOW) == 0);
    free(point);
    closed(disk);
    /* The same for a volume: any directory, also the root of a file system. */
    REQUIRE(mkdir(at("volume"), 0755) == 0);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_INVALIDARG", HcsSetupBaseOSVolume(NULL, path("volume"), W("{}")),
                E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_INVALIDARG", HcsSetupBaseOSVolume(path("base"), NULL, W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_INVALIDARG", HcsSetupBaseOSVolume(path("base"), path("volume"), NULL),
                E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSVolume/E_INVALIDARG", HcsSetupBaseOSVolume(path("base"), W("volume"), W("{}")),
                E_INVALIDARG);
    CONFORMS_HR("HcsSetupBaseOSVolume/HCS_E_INVALID_JSON", HcsSetupBaseOSVolume(path("base"), path("volume"), W("[]")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsSetupBaseOSVolume/Vm", HcsSetupBaseOSVolume(path("base"), path("volume"), W("{\"Type\":\"Vm\"}")),
                UNSUPPORTED);
    CONFORMS_HR("HcsSetupBaseOSVolume/S_OK", HcsSetupBaseOSVolume(path("base"), path("volume"), W("{}")), S_OK);
    CHECK(exists(at("volume"), "upper"));
    CONFORMS_HR("HcsSetupBaseOSVolume/exists", HcsSetupBaseOSVolume(path("base"), path("volume"), W("{}")), EXISTS);
    CONFORMS_HR("HcsSetupBaseOSVolume/not empty", HcsSetupBaseOSVolume(path("base"), path("base"), W("{}")),
                NOT_EMPTY);
}

/* The old form of layers has hives of a registry in a folder, which is empty on Linux. */
static void the_old_form(void)
{
    PCWSTR top = path("top"), hives = path("hives");
    FILE *written;
    REQUIRE(mkdir(at("hives"), 0755) == 0 && mkdir(at("full"), 0755) == 0 && mkdir(at("full/hive"), 0755) == 0);
    REQUIRE(mkdir(at("out"), 0755) == 0);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/E_INVALIDARG",
                HcsInitializeLegacyWritableLayer(NULL, hives, above_base(), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/E_INVALIDARG",
                HcsInitializeLegacyWritableLayer(top, NULL, above_base(), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/E_INVALIDARG",
                HcsInitializeLegacyWritableLayer(top, hives, NULL, NULL), E_INVALIDARG);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/options",
                HcsInitializeLegacyWritableLayer(top, hives, above_base(), W("{\"x\":1}")), UNSUPPORTED);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/hives",
                HcsInitializeLegacyWritableLayer(top, path("full"), above_base(), NULL), NOT_EMPTY);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/S_OK",
                HcsInitializeLegacyWritableLayer(path("top"), path("hives"), above_base(), NULL), S_OK);
    CONFORMS_HR("HcsInitializeLegacyWritableLayer/exists",
                HcsInitializeLegacyWritableLayer(path("top"), path("hives"), above_base(), NULL), EXISTS);
    written = fopen(at("top/upper/new"), "w");
    REQUIRE(written != NULL && fclose(written) == 0);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_INVALIDARG",
                HcsExportLegacyWritableLayer(NULL, path("hives"), path("out"), above_base()), E_INVALIDARG);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_INVALIDARG",
                HcsExportLegacyWritableLayer(path("top"), NULL, path("out"), above_base()), E_INVALIDARG);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_INVALIDARG",
                HcsExportLegacyWritableLayer(path("top"), path("hives"), NULL, above_base()), E_INVALIDARG);
    CONFORMS_HR("HcsExportLegacyWritableLayer/E_INVALIDARG",
                HcsExportLegacyWritableLayer(path("top"), path("hives"), path("out"), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsExportLegacyWritableLayer/hives",
                HcsExportLegacyWritableLayer(path("top"), path("full"), path("out"), above_base()), NOT_EMPTY);
    CONFORMS_HR("HcsExportLegacyWritableLayer/HCS_E_INVALID_LAYER",
                HcsExportLegacyWritableLayer(path("base"), path("hives"), path("out"), above_base()),
                HCS_E_INVALID_LAYER);
    CONFORMS_HR("HcsExportLegacyWritableLayer/S_OK",
                HcsExportLegacyWritableLayer(path("top"), path("top"), path("out"), above_base()), S_OK);
    CONFORMS_HR("HcsExportLegacyWritableLayer/exists",
                HcsExportLegacyWritableLayer(path("top"), path("hives"), path("out"), above_base()), EXISTS);
    CHECK_HR(HcsImportLayer(path("copy"), path("out"), above_base()), S_OK);
    CHECK(exists(at("copy"), "new") && !exists(at("copy"), "below"));
}

int main(void)
{
    FILE *below;
    REQUIRE(mkdtemp(place) != NULL && mkdir(at("base"), 0755) == 0);
    below = fopen(at("base/below"), "w");
    REQUIRE(below != NULL && fclose(below) == 0);
    RUN(handles);
    RUN(formatting);
    RUN(setting_up);
    RUN(the_old_form);
    CHECK_HR(HcsDestroyLayer(wide(place)), S_OK);
    return EXIT_STATUS;
}
