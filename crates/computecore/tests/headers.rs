//! The headers as a program meets them: alone, twice, from several files, in several languages, after a program's own
//! definitions, and through `pkg-config`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const HEADERS: [&str; 8] = [
    "ComputeCore.h",
    "ComputeDefs.h",
    "ComputeStorage.h",
    "ComputeWin32.h",
    "HcsExtensions.h",
    "computecore.h",
    "computedefs.h",
    "computestorage.h",
];

const C: [&[&str]; 5] = [
    &["gcc", "-std=c11"],
    &["gcc", "-std=c11", "-fshort-wchar"],
    &["gcc", "-std=gnu17"],
    &["gcc", "-std=c2x"],
    &["clang", "-std=c11"],
];

const CPP: [&[&str]; 5] = [
    &["g++", "-std=c++11"],
    &["g++", "-std=c++17"],
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
    for header in ["ComputeCore.h", "ComputeStorage.h", "ComputeWin32.h"] {
        let text = fs::read_to_string(include().join(header)).unwrap();
        let mut before = "";
        let mut functions = 0;
        for line in text.lines() {
            let starts = !line.starts_with([' ', '#', '*', '/', 't']) && line.contains("WINAPI ");
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
fn pkg_config_reads_the_template() {
    let template = fs::read_to_string(manifest().join("computecore.pc.in")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let filled = template
        .replace("@PREFIX@", "/opt/hcs")
        .replace("@LIBDIR@", "/opt/hcs/lib")
        .replace("@INCLUDEDIR@", "/opt/hcs/include")
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    assert!(!filled.contains('@'), "{filled}");
    fs::write(folder.path().join("computecore.pc"), filled).unwrap();
    let output = Command::new("pkg-config")
        .env("PKG_CONFIG_PATH", folder.path())
        .args(["--cflags", "--libs", "computecore"])
        .output()
        .expect("pkg-config runs");
    let flags = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        flags.trim(),
        "-I/opt/hcs/include -L/opt/hcs/lib -lcomputecore"
    );
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
