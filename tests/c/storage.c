/*
 * Layers on Linux: imported, written above, seen as one tree, exported and deleted. Attaching mounts, so it takes root;
 * all of it happens in a directory of its own below /var/tmp, whose file system can hold an overlay's upper directory.
 */
#include "check.h"

#include <sys/file.h>
#include <sys/stat.h>

#define BUSY HRESULT_FROM_WIN32(ERROR_BUSY)
#define EXISTS HRESULT_FROM_WIN32(ERROR_ALREADY_EXISTS)
#define MISSING HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)
#define NOT_FOUND HRESULT_FROM_WIN32(ERROR_NOT_FOUND)
#define NOT_EMPTY HRESULT_FROM_WIN32(ERROR_DIR_NOT_EMPTY)

static char place[] = "/var/tmp/hcs-storage-XXXXXX";

#include "place.h"

/* A LayerData document with one parent layer, or with none. */
static PCWSTR above(const char *name)
{
    static const char *const format =
        "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[{\"Id\":\"4f1a6c52-93d0-4b7e-8a15-2d7c9e60b3a1\","
        "\"Path\":\"%s\"}]}";
    return wide(name == NULL ? "{}" : text(format, at(name)));
}

static void folder(const char *name)
{
    REQUIRE(mkdir(at(name), 0755) == 0);
}

static void file(const char *name, const char *content)
{
    FILE *made = fopen(at(name), "w");
    REQUIRE(made != NULL);
    CHECK(fputs(content, made) >= 0);
    REQUIRE(fclose(made) == 0);
}

/* The whole file; its length is told. To be freed. */
static char *bytes(const char *name, size_t *length)
{
    FILE *found = fopen(at(name), "r");
    char *content;
    REQUIRE(found != NULL);
    REQUIRE(fseek(found, 0, SEEK_END) == 0);
    *length = (size_t)ftell(found);
    rewind(found);
    content = (char *)calloc(1, *length + 1);
    REQUIRE(content != NULL && fread(content, 1, *length, found) == *length);
    fclose(found);
    return content;
}

static int holds(const char *name, const char *content)
{
    size_t length;
    char *found = bytes(name, &length);
    int so = strcmp(found, content) == 0;
    free(found);
    return so;
}

static int exists(const char *name)
{
    struct stat found;
    return lstat(at(name), &found) == 0;
}

/* A layer of two files, from a folder. */
static void importing(void)
{
    struct stat found;
    folder("source");
    file("source/kept", "as it was");
    file("source/gone", "removed later");
    REQUIRE(symlink("/etc/passwd", at("source/link")) == 0);
    CONFORMS_HR("HcsImportLayer/S_OK", HcsImportLayer(path("base"), path("source"), above(NULL)), S_OK);
    CHECK(holds("base/kept", "as it was") && exists("base/link"));
    CONFORMS("HcsImportLayer/closed", stat(at("base"), &found) == 0 && (found.st_mode & 07777) == 0700);
    CONFORMS_HR("HcsImportLayer/exists", HcsImportLayer(path("base"), path("source"), above(NULL)), EXISTS);
    CONFORMS_HR("HcsImportLayer/missing", HcsImportLayer(path("x"), path("none"), above(NULL)), MISSING);
    file("no-archive", "this is no archive");
    CONFORMS_HR("HcsImportLayer/HCS_E_INVALID_LAYER", HcsImportLayer(path("x"), path("no-archive"), above(NULL)),
                HCS_E_INVALID_LAYER);
    CHECK(!exists("x"));
    /* What an overlay takes for a removed file is no name that a file of a layer may have in an archive. */
    folder("wrong");
    file("wrong/.wh.gone", "");
    CHECK_HR(HcsImportLayer(path("x"), path("wrong"), above(NULL)), HCS_E_INVALID_LAYER);
    CHECK(!exists("x"));
    CONFORMS_HR("HcsImportLayer/HCS_E_INVALID_JSON", HcsImportLayer(path("x"), path("source"), W("{")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsImportLayer/E_INVALIDARG", HcsImportLayer(NULL, path("source"), above(NULL)), E_INVALIDARG);
    CONFORMS_HR("HcsImportLayer/E_INVALIDARG", HcsImportLayer(path("x"), NULL, above(NULL)), E_INVALIDARG);
    CONFORMS_HR("HcsImportLayer/E_INVALIDARG", HcsImportLayer(path("x"), path("source"), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsImportLayer/E_INVALIDARG", HcsImportLayer(W("x"), path("source"), above(NULL)), E_INVALIDARG);
}

static void initializing(void)
{
    CONFORMS_HR("HcsInitializeWritableLayer/E_INVALIDARG", HcsInitializeWritableLayer(NULL, above("base"), NULL),
                E_INVALIDARG);
    CONFORMS_HR("HcsInitializeWritableLayer/E_INVALIDARG", HcsInitializeWritableLayer(path("top"), NULL, NULL),
                E_INVALIDARG);
    CONFORMS_HR("HcsInitializeWritableLayer/options", HcsInitializeWritableLayer(path("top"), above("base"), W("{}")),
                E_INVALIDARG);
    CONFORMS_HR("HcsInitializeWritableLayer/missing", HcsInitializeWritableLayer(path("top"), above("none"), NULL),
                MISSING);
    CHECK(!exists("top"));
    CONFORMS_HR("HcsInitializeWritableLayer/HCS_E_INVALID_JSON", HcsInitializeWritableLayer(path("top"), W("{"), NULL),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsInitializeWritableLayer/S_OK", HcsInitializeWritableLayer(path("top"), above("base"), NULL), S_OK);
    CONFORMS_HR("HcsInitializeWritableLayer/exists", HcsInitializeWritableLayer(path("top"), above("base"), NULL),
                EXISTS);
    CONFORMS_HR("HcsInitializeWritableLayer/not empty", HcsInitializeWritableLayer(path("source"), above("base"), NULL),
                NOT_EMPTY);
    /* The root of a file system is an empty directory, too. */
    folder("volume");
    CHECK_HR(HcsInitializeWritableLayer(path("volume"), above("base"), NULL), S_OK);
}

/* Locks a layer as the service does that has it as the scratch of a container: by a file that stands for it. */
static int held(const char *layer)
{
    char name[128];
    struct stat found;
    int lock;
    REQUIRE(stat(layer, &found) == 0);
    snprintf(name, sizeof name, "/run/hcs-places/.locks/%lx-%lx", (unsigned long)found.st_dev,
             (unsigned long)found.st_ino);
    lock = geteuid() == 0 ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : open(layer, O_RDONLY | O_CLOEXEC);
    REQUIRE(lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0);
    return lock;
}

static void attaching(void)
{
    int open_file, container;
    CONFORMS_HR("HcsAttachLayerStorageFilter/E_INVALIDARG", HcsAttachLayerStorageFilter(NULL, above("base")),
                E_INVALIDARG);
    CONFORMS_HR("HcsAttachLayerStorageFilter/HCS_E_INVALID_JSON", HcsAttachLayerStorageFilter(path("top"), W("[]")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsAttachLayerStorageFilter/missing", HcsAttachLayerStorageFilter(path("none"), above("base")),
                MISSING);
    CONFORMS_HR("HcsAttachLayerStorageFilter/missing", HcsAttachLayerStorageFilter(path("top"), above("none")),
                MISSING);
    container = held(at("top"));
    CONFORMS_HR("HcsAttachLayerStorageFilter/busy", HcsAttachLayerStorageFilter(path("top"), above("base")), BUSY);
    close(container);
    CONFORMS_HR("HcsAttachLayerStorageFilter/E_INVALIDARG", HcsAttachLayerStorageFilter(path("top"), NULL),
                E_INVALIDARG);
    CONFORMS_HR("HcsAttachLayerStorageFilter/E_INVALIDARG", HcsAttachLayerStorageFilter(path("top"), above(NULL)),
                E_INVALIDARG);
    CONFORMS_HR("HcsAttachLayerStorageFilter/HCS_E_INVALID_LAYER",
                HcsAttachLayerStorageFilter(path("base"), above("base")), HCS_E_INVALID_LAYER);
    CONFORMS_HR("HcsDetachLayerStorageFilter/not attached", HcsDetachLayerStorageFilter(path("top")), NOT_FOUND);
    CONFORMS_HR("HcsDetachLayerStorageFilter/E_INVALIDARG", HcsDetachLayerStorageFilter(NULL), E_INVALIDARG);
    REQUIRE(HcsAttachLayerStorageFilter(path("top/"), above("base")) == S_OK);
    CONFORMS("HcsAttachLayerStorageFilter/S_OK", holds("top/kept", "as it was"));
    CONFORMS_HR("HcsAttachLayerStorageFilter/attached", HcsAttachLayerStorageFilter(path("top"), above("base")),
                EXISTS);
    CHECK_HR(HcsInitializeWritableLayer(path("top"), above("base"), NULL), BUSY);
    file("top/new", "written above");
    CHECK(unlink(at("top/gone")) == 0);
    CONFORMS("HcsAttachLayerStorageFilter/parents", !exists("base/new") && exists("base/gone"));
    CONFORMS_HR("HcsExportLayer/busy",
                HcsExportLayer(path("top"), path("volume"), above("base"), W("{\"IsWritableLayer\":true}")), BUSY);
    CONFORMS_HR("HcsDestroyLayer/busy", HcsDestroyLayer(path("top")), BUSY);
    open_file = open(at("top/kept"), O_RDONLY);
    REQUIRE(open_file >= 0);
    CONFORMS_HR("HcsDetachLayerStorageFilter/busy", HcsDetachLayerStorageFilter(path("top")), BUSY);
    close(open_file);
    CONFORMS_HR("HcsDetachLayerStorageFilter/S_OK", HcsDetachLayerStorageFilter(path("top")), S_OK);
    CHECK(!exists("top/kept") && holds("top/upper/new", "written above"));
    CHECK_HR(HcsDetachLayerStorageFilter(path("top")), NOT_FOUND);
}

static void the_overlay_filter(void)
{
    static const char *const filter = "{\"FilterType\":\"%s\",\"Layers\":[{\"Path\":\"%s\"}]}";
    int open_file;
    CONFORMS_HR("HcsAttachOverlayFilter/HCS_E_INVALID_JSON", HcsAttachOverlayFilter(path("top"), W("{")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsAttachOverlayFilter/HCS_E_INVALID_LAYER", HcsAttachOverlayFilter(path("base"), above("base")),
                HCS_E_INVALID_LAYER);
    CONFORMS_HR("HcsAttachOverlayFilter/E_INVALIDARG", HcsAttachOverlayFilter(NULL, above("base")), E_INVALIDARG);
    CONFORMS_HR("HcsAttachOverlayFilter/E_INVALIDARG", HcsAttachOverlayFilter(path("top"), NULL), E_INVALIDARG);
    REQUIRE(HcsAttachOverlayFilter(path("top"), wide(text(filter, "UnionFS", at("base")))) == S_OK);
    CONFORMS("HcsAttachOverlayFilter/S_OK", holds("top/kept", "as it was") && holds("top/new", "written above"));
    CONFORMS_HR("HcsAttachOverlayFilter/attached", HcsAttachOverlayFilter(path("top"), above("base")), EXISTS);
    open_file = open(at("top/kept"), O_RDONLY);
    REQUIRE(open_file >= 0);
    CONFORMS_HR("HcsDetachOverlayFilter/busy", HcsDetachOverlayFilter(path("top"), W("{}")), BUSY);
    close(open_file);
    CONFORMS_HR("HcsDetachOverlayFilter/HCS_E_INVALID_JSON", HcsDetachOverlayFilter(path("top"), W("{")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsDetachOverlayFilter/E_INVALIDARG", HcsDetachOverlayFilter(NULL, above(NULL)), E_INVALIDARG);
    CONFORMS_HR("HcsDetachOverlayFilter/E_INVALIDARG", HcsDetachOverlayFilter(path("top"), NULL), E_INVALIDARG);
    CONFORMS_HR("HcsDetachOverlayFilter/S_OK",
                HcsDetachOverlayFilter(path("top"), W("{\"FilterType\":\"UnionFS\"}")), S_OK);
    CONFORMS_HR("HcsDetachOverlayFilter/not attached",
                HcsDetachOverlayFilter(path("top"), W("{\"FilterType\":\"UnionFS\"}")), NOT_FOUND);
}

static void exporting(void)
{
    static PCWSTR const writable = W("{\"IsWritableLayer\":true}");
    size_t first_length, second_length;
    char *first, *second;
    folder("out");
    folder("again");
    CONFORMS_HR("HcsExportLayer/S_OK", HcsExportLayer(path("top"), path("out"), above("base"), writable), S_OK);
    CHECK_HR(HcsExportLayer(path("top"), path("again"), above("base"), writable), S_OK);
    first = bytes("out/layer.tar", &first_length);
    second = bytes("again/layer.tar", &second_length);
    CONFORMS("HcsExportLayer/same bytes", first_length == second_length && !memcmp(first, second, first_length));
    free(first);
    free(second);
    CONFORMS_HR("HcsExportLayer/exists", HcsExportLayer(path("top"), path("out"), above("base"), writable), EXISTS);
    CONFORMS_HR("HcsExportLayer/HCS_E_INVALID_LAYER",
                HcsExportLayer(path("base"), path("volume"), above("base"), writable), HCS_E_INVALID_LAYER);
    CONFORMS_HR("HcsExportLayer/missing", HcsExportLayer(path("none"), path("volume"), above(NULL), W("{}")), MISSING);
    CONFORMS_HR("HcsExportLayer/HCS_E_INVALID_JSON", HcsExportLayer(path("top"), path("out"), above("base"), W("1")),
                HCS_E_INVALID_JSON);
    CONFORMS_HR("HcsExportLayer/E_INVALIDARG", HcsExportLayer(NULL, path("out"), above(NULL), W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsExportLayer/E_INVALIDARG", HcsExportLayer(path("base"), NULL, above(NULL), W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsExportLayer/E_INVALIDARG", HcsExportLayer(path("base"), path("out"), NULL, W("{}")), E_INVALIDARG);
    CONFORMS_HR("HcsExportLayer/E_INVALIDARG", HcsExportLayer(path("base"), path("out"), above(NULL), NULL),
                E_INVALIDARG);
    /* What was exported is a layer again, with what was written and removed above `base`, and nothing else. */
    CHECK_HR(HcsImportLayer(path("middle"), path("out"), above("base")), S_OK);
    CONFORMS("HcsExportLayer/writable", holds("middle/new", "written above") && exists("middle/gone") &&
                                            !exists("middle/kept"));
    CHECK_HR(HcsInitializeWritableLayer(path("last"), above("middle"), NULL), S_OK);
    CHECK_HR(HcsAttachLayerStorageFilter(
                 path("last"), wide(text("{\"Layers\":[{\"Path\":\"%s\"},{\"Path\":\"%s\"}]}", at("middle"),
                                       at("base")))),
             S_OK);
    CHECK(holds("last/new", "written above") && holds("last/kept", "as it was") && !exists("last/gone"));
    CHECK_HR(HcsDetachLayerStorageFilter(path("last")), S_OK);
    /* A layer that is no writable one goes out as a whole. */
    folder("whole");
    CHECK_HR(HcsExportLayer(path("base"), path("whole"), above(NULL), W("{}")), S_OK);
    CHECK_HR(HcsImportLayer(path("copy"), path("whole"), above(NULL)), S_OK);
    CHECK(holds("copy/kept", "as it was") && holds("copy/gone", "removed later"));
}

static void destroying(void)
{
    static const char *const layers[] = {"base", "top", "middle", "last", "copy", "volume"};
    size_t i;
    CONFORMS_HR("HcsDestroyLayer/E_INVALIDARG", HcsDestroyLayer(NULL), E_INVALIDARG);
    CHECK_HR(HcsDestroyLayer(W("/")), E_INVALIDARG);
    CONFORMS_HR("HcsDestroyLayer/missing", HcsDestroyLayer(path("none")), MISSING);
    folder("outside");
    file("outside/file", "stays");
    REQUIRE(symlink(at("outside"), at("base/way-out")) == 0);
    REQUIRE(symlink(at("outside"), at("link")) == 0);
    CHECK(FAILED(HcsDestroyLayer(path("link/"))));
    for (i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        HRESULT result = HcsDestroyLayer(path(layers[i]));
        CONFORMS_HR("HcsDestroyLayer/S_OK", result, S_OK);
        CHECK(!exists(layers[i]));
    }
    CONFORMS("HcsDestroyLayer/links", holds("outside/file", "stays"));
}

int main(void)
{
    REQUIRE(mkdtemp(place) != NULL);
    RUN(importing);
    RUN(initializing);
    RUN(attaching);
    RUN(the_overlay_filter);
    RUN(exporting);
    RUN(destroying);
    /* Folders are destroyed as layers are. */
    CHECK_HR(HcsDestroyLayer(wide(place)), S_OK);
    return EXIT_STATUS;
}
