//! What the processors of this host can do, in the words of the schema: the service property `ProcessorCapabilities`.
//!
//! The kernel tells it in `/proc/cpuinfo`. A feature that it does not tell of there, or that guests cannot have
//! (`NestedVirt`, say: guests run no virtual machines), is left out, so no client relies on it.

use std::{collections::HashSet, fs, io, sync::OnceLock};

use hcs_schema::documents::{NonArchitecturalCoreSharing, ProcessorCapabilitiesInfo};

/// Words of the kernel about processors of x86, and those of `ProcessorFeature`.
const FEATURES: &[(&str, &str)] = &[
    ("pni", "Sse3"),
    ("lahf_lm", "LahfSahf"),
    ("ssse3", "Ssse3"),
    ("sse4_1", "Sse4_1"),
    ("sse4_2", "Sse4_2"),
    ("sse4a", "Sse4A"),
    ("xop", "Xop"),
    ("popcnt", "Popcnt"),
    ("cx16", "Cmpxchg16B"),
    ("cr8_legacy", "Altmovcr8"),
    ("abm", "Lzcnt"),
    ("misalignsse", "Misalignsse"),
    ("mmxext", "MmxExt"),
    ("3dnow", "Amd3Dnow"),
    ("3dnowext", "ExtAmd3Dnow"),
    ("pdpe1gb", "Page1Gb"),
    ("aes", "AmdAes"),
    ("pclmulqdq", "Pclmulqdq"),
    ("pcid", "Pcid"),
    ("fma4", "Fma4"),
    ("f16c", "F16C"),
    ("rdrand", "Rdrand"),
    ("fsgsbase", "Rdwrfsgs"),
    ("smep", "Smep"),
    ("erms", "EnhancedFastString"),
    ("bmi1", "Bmi1"),
    ("bmi2", "Bmi2"),
    ("movbe", "Movbe"),
    ("rdseed", "Rdseed"),
    ("adx", "Adx"),
    ("smap", "Smap"),
    ("hle", "Hle"),
    ("rtm", "Rtm"),
    ("rdtscp", "Rdtscp"),
    ("clflushopt", "Clflushopt"),
    ("clwb", "Clwb"),
    ("sha_ni", "Sha"),
    ("invpcid", "Invpcid"),
    ("ibrs", "Ibrs"),
    ("stibp", "Stibp"),
    ("ibpb", "Ibpb"),
    ("fsrm", "FastShortRepMov"),
    ("flush_l1d", "L1DCacheFlush"),
    ("virt_ssbd", "VirtSpecCtrl"),
    ("rdpid", "Rdpid"),
    ("umip", "Umip"),
    ("nonstop_tsc", "TscInvariant"),
    ("clzero", "Clzero"),
    ("rdpru", "Rdpru"),
    ("la57", "La57"),
    ("ibt", "CetIbt"),
    ("waitpkg", "UmwaitTpause"),
    ("movdiri", "Movdiri"),
    ("movdir64b", "Movdir64b"),
    ("cldemote", "Cldemote"),
    ("serialize", "Serialize"),
    ("tsc_deadline_timer", "TscDeadlineTmr"),
    ("tsc_adjust", "TscAdjust"),
];

/// The same of `XsaveProcessorFeature`.
const WITH_REGISTERS: &[(&str, &str)] = &[
    ("xsave", "Xsave"),
    ("xsaveopt", "Xsave_Opt"),
    ("avx", "Avx"),
    ("avx2", "Avx2"),
    ("fma", "Fma"),
    ("avx512f", "Avx512"),
    ("avx512dq", "Avx512Dq"),
    ("avx512cd", "Avx512Cd"),
    ("avx512bw", "Avx512Bw"),
    ("avx512vl", "Avx512Vl"),
    ("xsavec", "Xsave_Comp"),
    ("xsaves", "Xsave_Supervisor"),
    ("xgetbv1", "Xcr1"),
    ("avx512_bitalg", "Avx512_Bitalg"),
    ("avx512ifma", "AVX512_Ifma"),
    ("avx512vbmi", "Avx512_Vbmi"),
    ("avx512_vbmi2", "Avx512_Vbmi2"),
    ("avx512_vnni", "Avx512_Vnni"),
    ("gfni", "Gfni"),
    ("vaes", "Vaes"),
    ("avx512_vpopcntdq", "Avx512_Vpopcntdq"),
    ("vpclmulqdq", "Vpclmulqdq"),
    ("avx512_bf16", "Avx512_Bf16"),
    ("avx512_vp2intersect", "Avx512_Vp2Intersect"),
    ("avx512_fp16", "Avx512Fp16"),
    ("amx_tile", "AmxTile"),
    ("amx_bf16", "AmxBf16"),
    ("amx_int8", "AmxInt8"),
    ("avx_vnni", "AvxVnni"),
];

/// What the processors can do. It is found out once: the kernel makes a long text of it, at some cost per processor.
///
/// # Errors
/// The kernel does not say.
pub(crate) fn capabilities() -> io::Result<&'static ProcessorCapabilitiesInfo> {
    static KNOWN: OnceLock<ProcessorCapabilitiesInfo> = OnceLock::new();
    if let Some(known) = KNOWN.get() {
        return Ok(known);
    }
    let found = read(&fs::read_to_string("/proc/cpuinfo")?);
    Ok(KNOWN.get_or_init(|| found))
}

/// The same, of the kernel's text. It has a paragraph per processor; what not all of them can do is left out.
fn read(text: &str) -> ProcessorCapabilitiesInfo {
    let all = values(text, "flags").map(|flags| flags.split_ascii_whitespace().collect());
    let common: HashSet<&str> = all
        .reduce(|common: HashSet<&str>, has| &common & &has)
        .unwrap_or_default();
    let named = |table: &[(&str, &str)]| {
        let rows = table.iter().filter(|(word, _)| common.contains(word));
        Some(rows.map(|(_, name)| (*name).to_owned()).collect())
    };
    let number = |key| {
        let text = values(text, key).next()?.split_ascii_whitespace().next()?;
        text.parse().ok()
    };
    ProcessorCapabilitiesInfo {
        processor_features: named(FEATURES),
        xsave_processor_features: named(WITH_REGISTERS),
        cache_line_flush_size: number("clflush size"),
        implemented_physical_address_bits: number("address sizes"),
        non_architectural_core_sharing: Some(NonArchitecturalCoreSharing::Unreported),
    }
}

/// What stands behind `key` and a colon, processor by processor.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim_end() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_processors_can_do_is_named_as_in_the_schema() {
        let text = "processor\t: 0\nflags\t\t: fpu pni avx2 rtm svm\nclflush size\t: 64\n\
                    address sizes\t: 48 bits physical, 48 bits virtual\n\n\
                    processor\t: 1\nflags\t\t: fpu pni avx2 svm\nclflush size\t: 64\n";
        let read = read(text);
        assert_eq!(read.processor_features.unwrap(), ["Sse3"]);
        assert_eq!(read.xsave_processor_features.unwrap(), ["Avx2"]);
        assert_eq!(read.cache_line_flush_size, Some(64));
        assert_eq!(read.implemented_physical_address_bits, Some(48));
    }

    #[test]
    fn processors_of_other_kinds_have_no_features_of_x86() {
        let read = read("processor\t: 0\nFeatures\t: fp asimd aes\n");
        assert_eq!(read.processor_features.unwrap(), [""; 0]);
        assert_eq!(read.cache_line_flush_size, None);
    }
}
