//! The headers as a program meets them: alone, twice, from several files, in several languages, after a program's own
//! definitions, and through `pkg-config`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HEADERS: [&str; 11] = [
    "ComputeCore.h",
    "ComputeDefs.h",
    "ComputeNetwork.h",
    "ComputeStorage.h",
    "ComputeWide.h",
    "ComputeWin32.h",
    "HcsExtensions.h",
    "computecore.h",
    "computedefs.h",
    "computenetwork.h",
    "computestorage.h",
];

const C: [&[&str]; 6] = [
    &["gcc", "-std=c11"],
    &["gcc", "-std=c11", "-DHCS_WIDE"],
    &["gcc", "-std=c11", "-fshort-wchar"],
    &["gcc", "-std=gnu17"],
    &["gcc", "-std=c2x"],
    &["clang", "-std=c11"],
];

const CPP: [&[&str]; 6] = [
    &["g++", "-std=c++11"],
    &["g++", "-std=c++17"],
    &["g++", "-std=c++17", "-DHCS_WIDE"],
    &["g++", "-std=c++17", "-fshort-wchar"],
    &["g++", "-std=c++20"],
    &["clang++", "-std=c++17"],
];

#[test]
fn each_header_stands_alone_and_twice() {
    for header in HEADERS {
        let text = format!("#include <{header}>\n#include <{header}>\n");
        for compiler in C {
            accepts(compiler, "c", &text);
        }
        for compiler in CPP {
            accepts(compiler, "c++", &text);
        }
    }
}

#[test]
fn they_get_on_with_the_standard_library() {
    let all = include_all();
    for (before, after) in [
        ("#include <bits/stdc++.h>\n", ""),
        ("", "#include <bits/stdc++.h>\n"),
    ] {
        accepts(CPP[1], "c++", &format!("{before}{all}{after}"));
    }
}

#[test]
fn flags_combine_in_both_languages() {
    let uses = "extern const int options;\n\
        const int options = HcsEventOptionEnableOperationCallbacks | HcsEventOptionEnableVmLifecycle;\n\
        void use(HCS_SYSTEM system, HCS_EVENT_CALLBACK callback);\n\
        void use(HCS_SYSTEM system, HCS_EVENT_CALLBACK callback) {\n\
        HCS_EVENT_OPTIONS some = HcsEventOptionNone | HcsEventOptionEnableVmLifecycle;\n\
        some |= HcsEventOptionEnableOperationCallbacks;\n\
        HcsSetComputeSystemCallback(system, some, 0, callback); }\n";
    let text = format!("{}{uses}", include_all());
    accepts(C[0], "c", &text);
    accepts(CPP[1], "c++", &text);
}

#[test]
fn a_programs_own_definitions_are_left_alone() {
    let own = "#include <stdint.h>\n\
        typedef int32_t HRESULT;\ntypedef uint32_t DWORD;\ntypedef void *HANDLE;\ntypedef int BOOL;\n\
        #define S_OK ((HRESULT)0)\n#define E_INVALIDARG ((HRESULT)0x80070057u)\n\
        #define FAILED(hr) ((HRESULT)(hr) < 0)\n#define INFINITE 0xFFFFFFFFu\n\
        #define WINAPI\n#define CALLBACK\n#define _In_\n#define TRUE 1\n#define ERROR_NOT_FOUND 1168L\n";
    let text = format!("{own}{}", include_all());
    accepts(C[0], "c", &text);
    accepts(CPP[1], "c++", &text);
}

#[test]
fn a_program_may_bring_all_the_types_itself() {
    let own = "#include <stdint.h>\n#ifndef __cplusplus\n#include <uchar.h>\n#endif\n\
        #define COMPUTECORE_NO_WIN32_TYPES\n\
        typedef char16_t WCHAR, *PWSTR; typedef const char16_t *PCWSTR; typedef int HRESULT;\n\
        typedef unsigned int DWORD; typedef unsigned long long UINT64; typedef void *HANDLE, *HLOCAL;\n\
        typedef struct { int revision; } SECURITY_DESCRIPTOR;\n";
    let text = format!("{own}{}", include_all());
    accepts(C[0], "c", &text);
    accepts(CPP[1], "c++", &text);
}

/// The part of `windows.h` in the program's environment that concerns clients of HCS: Wine's, mingw's, and the one that
/// DirectX-Headers has for Linux. The calling conventions are strange on purpose.
const ENVIRONMENTS: [(&str, &str); 3] = [
    (
        "like Wine",
        "#define _WINDEF_\n#define _WINNT_\n#define _HRESULT_DEFINED\n#define __WINE_WINBASE_H\n\
        #define WINAPI __attribute__((ms_abi))\n#define CALLBACK __attribute__((ms_abi))\n\
        typedef int LONG; typedef LONG HRESULT; typedef unsigned int DWORD; typedef int BOOL;\n\
        typedef unsigned long UINT64; typedef char16_t WCHAR, *PWSTR; typedef const WCHAR *PCWSTR;\n\
        typedef void *HANDLE; typedef HANDLE HLOCAL;\n\
        typedef struct { int revision; } SECURITY_DESCRIPTOR, *PSECURITY_DESCRIPTOR;\n\
        HLOCAL WINAPI LocalFree(HLOCAL memory);\nvoid WINAPI CoTaskMemFree(void *memory);\n\
        #define S_OK ((HRESULT)0)\n#define E_FAIL ((HRESULT)0x80004005)\n#define INFINITE 0xffffffff\n\
        #define DECLARE_HANDLE(a) typedef struct a##__ { int unused; } *a\n",
    ),
    (
        "like mingw",
        "#define _WINDEF_\n#define _WINNT_\n#define _HRESULT_DEFINED\n#define _WINBASE_\n\
        #define WINAPI\n#define CALLBACK\n#define _In_\n#define _Out_\n\
        typedef int HRESULT; typedef unsigned int DWORD; typedef int WINBOOL, BOOL; typedef unsigned long UINT64;\n\
        typedef char16_t WCHAR, *LPWSTR, *PWSTR; typedef const WCHAR *LPCWSTR, *PCWSTR; typedef void *HANDLE;\n\
        typedef HANDLE HLOCAL; typedef struct _SECURITY_DESCRIPTOR { int revision; } SECURITY_DESCRIPTOR;\n\
        HLOCAL LocalFree(HLOCAL memory);\n#define S_OK ((HRESULT)0x00000000)\n",
    ),
    (
        "like DirectX-Headers",
        "#define COMPUTECORE_NO_WCHAR\n#define COMPUTECORE_NO_PWSTR\n#define COMPUTECORE_NO_PCWSTR\n\
        #define COMPUTECORE_NO_BOOL\n#define COMPUTECORE_NO_SECURITY_DESCRIPTOR\n\
        #define WINAPI\n#define _In_\n#define _In_opt_\n#define _Out_\n#define FALSE 0\n#define TRUE 1\n\
        #define S_OK 0\n#define E_NOTIMPL 0x80004001L\n#define SUCCEEDED(hr) (((HRESULT)(hr)) >= 0)\n\
        typedef int32_t HRESULT; typedef uint32_t DWORD, UINT; typedef uint64_t UINT64; typedef void *HANDLE;\n\
        typedef uint32_t BOOL; typedef wchar_t WCHAR, *PWSTR; typedef const wchar_t *PCWSTR;\n\
        typedef struct SECURITY_DESCRIPTOR_ { int revision; } SECURITY_DESCRIPTOR;\n",
    ),
];

/// Row C5.
#[test]
fn they_get_on_with_the_types_of_other_environments() {
    let uses = "static void HCS_CALLBACK_ on_event(HCS_EVENT *event, void *context) { (void)event; (void)context; }\n\
        HRESULT use(HCS_SYSTEM system); HRESULT use(HCS_SYSTEM system) {\n\
        return HcsSetComputeSystemCallback(system, HcsEventOptionNone, 0, on_event); }\n";
    for (name, types) in ENVIRONMENTS {
        let begin = "#include <stddef.h>\n#include <stdint.h>\n#ifndef __cplusplus\n#include <uchar.h>\n#endif\n";
        let text = format!("/* {name} */\n{begin}{types}{}{uses}", include_all());
        accepts(C[0], "c", &text);
        accepts(CPP[1], "c++", &text);
    }
}

/// Row C6: the optional headers of `compat/`: alone, twice, together with ours in any order, in both flavours of
/// strings.
#[test]
fn the_compatibility_headers_have_what_clients_take() {
    let uses = "extern const GUID none; const GUID none = {0, 0, 0, {0}};\n\
        static inline BOOL end(_In_ HCS_PROCESS_INFORMATION *it) { return CloseHandle(it->StdInput); }\n\
        ULONG use(LPCWSTR id, UINT count, _Inout_ LPVOID it); ULONG use(LPCWSTR id, UINT count, LPVOID it) {\n\
        UNREFERENCED_PARAMETER(id); return end((HCS_PROCESS_INFORMATION *)it) ? count : ERROR_INVALID_PARAMETER; }\n";
    let compat = manifest().join("compat");
    let folder = format!("-I{}", compat.display());
    for order in [
        "#include <windows.h>\n#include <ComputeCore.h>\n",
        "#include <ComputeCore.h>\n#include <objbase.h>\n#include <combaseapi.h>\n#include <windows.h>\n",
        "#include <winerror.h>\n#include <windows.h>\n#include <windows.h>\n#include <computecore.h>\n",
    ] {
        let text = format!("{order}{uses}");
        accepts(&["gcc", "-std=c11", &folder], "c", &text);
        accepts(&["gcc", "-std=c11", "-DHCS_WIDE", &folder], "c", &text);
        accepts(&["g++", "-std=c++17", &folder], "c++", &text);
    }
}

/// Row C2.
#[test]
fn one_inclusion_cannot_have_other_strings_than_another() {
    let text = "#include <ComputeCore.h>\n#define HCS_WIDE\n#include <ComputeStorage.h>\n";
    assert!(!compile(C[0], "c", text).unwrap().status.success());
    let text = "#define HCS_WIDE\n#include <ComputeCore.h>\n";
    let short = ["gcc", "-std=c11", "-fshort-wchar"];
    assert!(!compile(&short, "c", text).unwrap().status.success());
}

#[test]
fn kinds_of_handles_do_not_mix() {
    let text = "#include <ComputeCore.h>\nvoid use(HCS_PROCESS process);\n\
        void use(HCS_PROCESS process) { HcsCloseComputeSystem(process); }\n";
    assert!(!compile(C[0], "c", text).unwrap().status.success());
    assert!(!compile(CPP[1], "c++", text).unwrap().status.success());
}

#[test]
fn several_files_of_a_program_include_them() {
    let folder = tempfile::tempdir().unwrap();
    let one = format!("{}int one(void) {{ return S_OK; }}\n", include_all());
    let two =
        "#include <ComputeCore.h>\nextern \"C\" int one(void);\nint main() { return one(); }\n";
    fs::write(folder.path().join("one.c"), one).unwrap();
    fs::write(folder.path().join("two.cpp"), two).unwrap();
    let include = include();
    let status = Command::new("gcc")
        .current_dir(&folder)
        .args(["-c", "one.c", "-I"])
        .arg(&include)
        .status();
    assert!(status.unwrap().success());
    let status = Command::new("g++")
        .current_dir(&folder)
        .args(["one.o", "two.cpp", "-o", "program", "-I"])
        .arg(&include)
        .status();
    assert!(status.unwrap().success());
    assert!(
        Command::new(folder.path().join("program"))
            .status()
            .unwrap()
            .success()
    );
}

/// Every declared function has a comment of its own right before it.
#[test]
fn every_function_is_documented() {
    for header in [
        "ComputeCore.h",
        "ComputeNetwork.h",
        "ComputeStorage.h",
        "ComputeWin32.h",
    ] {
        let text = fs::read_to_string(include().join(header)).unwrap();
        let mut before = "";
        let mut functions = 0;
        for line in text.lines() {
            let starts = !line.starts_with([' ', '#', '*', '/', 't']) && line.contains("HCS_API ");
            if starts {
                functions += 1;
                assert!(before.ends_with("*/"), "{header}: undocumented: {line}");
            }
            before = line;
        }
        assert!(functions > 0, "{header}: no function was found");
    }
}

#[test]
fn pkg_config_reads_the_templates() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["computecore", "computecore-wide"] {
        let template = fs::read_to_string(manifest().join(format!("{name}.pc.in"))).unwrap();
        let filled = template
            .replace("@PREFIX@", "/opt/hcs")
            .replace("@LIBDIR@", "/opt/hcs/lib")
            .replace("@INCLUDEDIR@", "/opt/hcs/include")
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        assert!(!filled.contains('@'), "{filled}");
        fs::write(folder.path().join(format!("{name}.pc")), filled).unwrap();
    }
    let says = |arguments: &[&str]| {
        let output = Command::new("pkg-config")
            .env("PKG_CONFIG_PATH", folder.path())
            .args(arguments)
            .output()
            .expect("pkg-config runs");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().to_owned()
    };
    let flags = "-I/opt/hcs/include -L/opt/hcs/lib -lcomputecore";
    assert_eq!(says(&["--cflags", "--libs", "computecore"]), flags);
    // Row C2.
    let wide = says(&["--cflags", "--libs", "computecore-wide"]);
    assert_eq!(wide, format!("-DHCS_WIDE {flags}"));
    // Row C6.
    let compat = says(&["--variable=compatdir", "computecore"]);
    assert_eq!(compat, "/opt/hcs/include/hcs-compat");
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn include() -> PathBuf {
    manifest().join("include")
}

fn include_all() -> String {
    HEADERS
        .map(|header| format!("#include <{header}>\n"))
        .concat()
}

fn accepts(compiler: &[&str], language: &str, text: &str) {
    // Only gcc is required; clang has its say where it is installed.
    let Some(output) = compile(compiler, language, text) else {
        assert!(
            compiler[0].starts_with("clang"),
            "{} is not installed",
            compiler[0]
        );
        return;
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{compiler:?}\n{text}\n{complaint}");
}

/// `None` when the compiler is not installed.
fn compile(compiler: &[&str], language: &str, text: &str) -> Option<Output> {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, text).unwrap();
    Command::new(compiler[0])
        .args(&compiler[1..])
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"])
        .args(["-x", language, "-I"])
        .args([include(), source])
        .output()
        .ok()
}
