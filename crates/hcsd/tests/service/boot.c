// A program of UEFI: executes \LINUX.EFI of the file system that it was loaded from, with options. A kernel that is
// loaded as \EFI\BOOT\BOOTX64.EFI itself gets none, and so no initial ramdisk.
//
// It is linked as plain bytes that begin with `start` and run at any address.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EFI __attribute__((ms_abi))
// Places in the tables of the firmware.
#define BOOT_SERVICES 96
#define HANDLE_PROTOCOL 152
#define LOAD_IMAGE 200
#define START_IMAGE 208
// Places in what is said of a loaded image.
#define DEVICE 24
#define OPTIONS_SIZE 48
#define OPTIONS 56

typedef EFI u64 handle_protocol(void *handle, const u8 *protocol, void *found);
typedef EFI u64 load_image(u8 policy, void *parent, const u8 *path, void *buffer, u64 size, void **image);
typedef EFI u64 start_image(void *image, u64 *size, u16 **data);

#define AT(type, table, place) (*(type *)((table) + (place)))

static const u8 LOADED_IMAGE[16] = {0xa1, 0x31, 0x1b, 0x5b, 0x62, 0x95, 0xd2, 0x11,
                                    0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b};
static const u8 DEVICE_PATH[16] = {0x91, 0x6e, 0x57, 0x09, 0x3f, 0x6d, 0xd2, 0x11,
                                   0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b};
static const u16 FILE[] = L"\\LINUX.EFI";
static const u16 LINE[] = L"initrd=\\INITRD console=ttyS0 quiet panic=-1 cryptomgr.notests";

EFI __attribute__((section(".start"))) u64 start(void *own, u8 *table) {
    u8 *boot = AT(u8 *, table, BOOT_SERVICES);
    handle_protocol *protocol = AT(handle_protocol *, boot, HANDLE_PROTOCOL);
    u8 *about, *device, path[512];
    u64 failed = protocol(own, LOADED_IMAGE, &about);
    if (failed)
        return failed;
    failed = protocol(AT(void *, about, DEVICE), DEVICE_PATH, &device);
    if (failed)
        return failed;
    // The path of the device up to its end, then that of the file, then the end.
    u32 length = 0;
    for (u32 node; device[length] != 0x7f; length += node) {
        node = AT(u16, device, length + 2);
        if (node < 4 || length + node > 256)
            return 1;
        for (u32 i = 0; i < node; i++)
            path[length + i] = device[length + i];
    }
    u8 *file = path + length;
    file[0] = file[1] = 4;
    AT(u16, file, 2) = 4 + sizeof FILE;
    for (u32 i = 0; i < sizeof FILE; i++)
        file[4 + i] = ((const u8 *)FILE)[i];
    AT(u32, file, 4 + sizeof FILE) = 0x0004ff7f;
    void *image;
    failed = AT(load_image *, boot, LOAD_IMAGE)(0, own, path, 0, 0, &image);
    if (failed)
        return failed;
    failed = protocol(image, LOADED_IMAGE, &about);
    if (failed)
        return failed;
    AT(const u16 *, about, OPTIONS) = LINE;
    AT(u32, about, OPTIONS_SIZE) = sizeof LINE;
    return AT(start_image *, boot, START_IMAGE)(image, 0, 0);
}
