//! Kinds of machines: which image of a list is taken for one, and whether an image is for it.
//!
//! Names are those of the OCI image specification: `linux/amd64`, `linux/arm64/v8`. A variant is the level of an
//! architecture, and a machine runs what is for its own level and for those below. 32-bit programs are none of a 64-bit
//! machine's here: the filter of system calls of a container ends them.

use std::{fmt, str::FromStr};

use super::document::{Config, Descriptor, Platform};
use crate::{Refusal, error::shown};

/// How well a content fits of which no list says what machine it is for: less than any of which one does.
const UNSAID: u32 = 1000;

impl Platform {
    /// This machine.
    #[must_use]
    pub fn host() -> Self {
        let variant = level_of_processor().map(|level| format!("v{level}"));
        Self::linux(architecture_of_host(), variant)
    }

    /// Whether what is for `found` is for this machine. The processor is asked for its level only where that decides:
    /// in a virtual machine each question to it takes as long as many system calls.
    #[must_use]
    pub fn is_of_host(found: &Self) -> bool {
        let least = Self::linux(architecture_of_host(), None);
        least.fits(found) || Self::host().fits(found)
    }

    fn linux(architecture: &str, variant: Option<String>) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            variant,
            other: serde_json::Map::new(),
        }
    }

    /// How well what is for `found` fits this machine: the lower, the better; none where it does not.
    pub(crate) fn rank(&self, found: &Self) -> Option<u32> {
        let same = self.os == found.os && self.architecture == found.architecture;
        if !same {
            return None;
        }
        match (self.level(), found.level()) {
            (Some(own), Some(level)) => own.checked_sub(level),
            // Variants without an order are the same or not.
            _ if found.variant == self.variant => Some(0),
            _ => found.variant.is_none().then_some(1),
        }
    }

    /// Whether what is for `found` is for this machine.
    #[must_use]
    pub fn fits(&self, found: &Self) -> bool {
        self.rank(found).is_some()
    }

    /// Whether an image with this configuration is for this machine. Many a configuration leaves out its variant, which
    /// a list has then: such an image is for any.
    #[must_use]
    pub fn fits_image(&self, config: &Config) -> bool {
        let mut found = config.platform();
        if found.variant.is_none() {
            found.variant.clone_from(&self.variant);
        }
        self.fits(&found)
    }

    /// The level of the architecture; none where its variants have no order.
    fn level(&self) -> Option<u32> {
        match self.variant.as_deref() {
            Some(variant) => variant.strip_prefix('v')?.parse().ok(),
            None => match &*self.architecture {
                "arm" => Some(7),
                "arm64" => Some(8),
                _ => Some(1),
            },
        }
    }
}

/// What images call the architecture of this machine.
fn architecture_of_host() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

/// The level of this processor, where images are made for several.
#[cfg(target_arch = "x86_64")]
fn level_of_processor() -> Option<u32> {
    use std::arch::is_x86_feature_detected as has;
    let second = has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2");
    let second = second && has!("popcnt") && has!("cmpxchg16b");
    let third = second && has!("avx") && has!("avx2") && has!("bmi1") && has!("bmi2");
    let third = third && has!("f16c") && has!("fma") && has!("lzcnt") && has!("movbe");
    let fourth = third && has!("avx512f") && has!("avx512bw") && has!("avx512cd");
    let fourth = fourth && has!("avx512dq") && has!("avx512vl");
    [fourth, third, second]
        .iter()
        .zip([4, 3, 2])
        .find_map(|(has, level)| has.then_some(level))
}

/// The level of this processor, where images are made for several.
#[cfg(not(target_arch = "x86_64"))]
const fn level_of_processor() -> Option<u32> {
    None
}

impl fmt::Display for Platform {
    /// As on a command line, and safe to show.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}/{}", self.os, self.architecture);
        if let Some(variant) = &self.variant {
            text = format!("{text}/{variant}");
        }
        f.write_str(&shown(text.as_bytes()))
    }
}

impl FromStr for Platform {
    type Err = Refusal;

    /// What other programs call architectures is understood, too. The variant of this machine's own architecture is
    /// this machine's, unless another one is named.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::BadPlatform {
            text: shown(text.as_bytes()),
        };
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next(), parts.next());
        let (variant, rest) = (parts.next(), parts.next());
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        let architecture = architecture.filter(|name| plain(name)).ok_or_else(bad)?;
        if os != Some("linux") || rest.is_some() || !variant.is_none_or(plain) {
            return Err(bad());
        }
        let (architecture, usual) = match architecture {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "i386" | "i686" => ("386", None),
            other => (other, None),
        };
        let named = variant.or(usual).map(str::to_owned);
        let host = Self::host();
        let own = host.variant.filter(|_| host.architecture == architecture);
        Ok(Self::linux(architecture, named.or(own)))
    }
}

impl Config {
    /// The machine that the image is for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform {
            os: self.os.clone(),
            ..Platform::linux(
                &self.architecture,
                self.variant.clone().filter(|variant| !variant.is_empty()),
            )
        }
    }
}

impl Descriptor {
    /// How well it fits `machine`, as far as a list says: the lower, the better; none where it does not.
    #[must_use]
    pub fn rank(&self, machine: &Platform) -> Option<u32> {
        match &self.platform {
            Some(platform) => machine.rank(platform),
            None => Some(UNSAID),
        }
    }
}

/// The machines that the entries of a list are for, in words.
#[must_use]
pub fn machines<'a>(entries: impl IntoIterator<Item = &'a Descriptor>) -> String {
    /// Machines that are named.
    const SHOWN: usize = 12;
    let named = entries
        .into_iter()
        .filter_map(|entry| entry.platform.as_ref());
    // What no machine is for is a note on an image.
    let named = named.filter(|platform| platform.os != "unknown");
    let mut names: Vec<String> = named.map(Platform::to_string).collect();
    names.sort();
    names.dedup();
    names.truncate(SHOWN);
    match names.is_empty() {
        true => "no machine that is named".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/').skip(1).map(str::to_owned);
        Platform::linux(&parts.next().unwrap(), parts.next())
    }

    #[test]
    fn the_nearest_level_below_is_the_best() {
        for (machine, found, expected) in [
            (
                "linux/arm/v7",
                &["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"][..],
                Some("linux/arm/v6"),
            ),
            (
                "linux/arm",
                &["linux/arm/v6", "linux/arm/v7"],
                Some("linux/arm/v7"),
            ),
            ("linux/arm/v6", &["linux/arm/v7", "linux/arm64"], None),
            (
                "linux/arm64",
                &["linux/arm/v7", "linux/arm64/v8"],
                Some("linux/arm64/v8"),
            ),
            ("linux/arm64/v8", &["linux/arm64"], Some("linux/arm64")),
            ("linux/arm64", &["linux/arm64/v9"], None),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
                Some("linux/amd64/v2"),
            ),
            ("linux/amd64", &["linux/amd64/v2", "linux/386"], None),
            (
                "linux/mips/hard",
                &["linux/mips/soft", "linux/mips"],
                Some("linux/mips"),
            ),
        ] {
            let machine = platform(machine);
            let ranked = found
                .iter()
                .filter_map(|text| Some((machine.rank(&platform(text))?, *text)));
            assert_eq!(ranked.min().map(|(_, text)| text), expected, "{machine}");
        }
        let windows = Platform {
            os: "windows".to_owned(),
            ..Platform::host()
        };
        assert!(!Platform::host().fits(&windows));
    }

    #[test]
    fn what_fits_the_host_is_known_without_asking_the_processor_where_it_can_be() {
        let host = Platform::host();
        let of_host = |variant: &str| Platform {
            variant: Some(variant.to_owned()),
            ..host.clone()
        };
        let mut all = ["linux/s390x", "linux/arm/v6", "linux/amd64", "linux/arm64"]
            .map(platform)
            .to_vec();
        all.extend(["v1", "v2", "v3", "v4", "v8", "v99", "other"].map(of_host));
        all.push(host.clone());
        all.push(Platform {
            variant: None,
            ..host.clone()
        });
        all.push(Platform {
            os: "windows".to_owned(),
            ..host.clone()
        });
        for found in all {
            assert_eq!(Platform::is_of_host(&found), host.fits(&found), "{found}");
        }
    }

    #[test]
    fn a_configuration_without_a_variant_is_for_any() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "architecture": "arm", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
        }))
        .unwrap();
        for (machine, fits) in [
            ("linux/arm/v6", true),
            ("linux/arm", true),
            ("linux/arm64", false),
        ] {
            assert_eq!(platform(machine).fits_image(&config), fits, "{machine}");
        }
    }

    #[test]
    fn a_platform_is_read_as_it_is_shown() {
        for (text, shown) in [
            ("linux/s390x", "linux/s390x"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("linux/amd64/v2", "linux/amd64/v2"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        let host = Platform::host();
        let plain = format!("linux/{}", host.architecture);
        assert_eq!(plain.parse::<Platform>().unwrap(), host);
        for bad in [
            "",
            "amd64",
            "windows/amd64",
            "linux/",
            "linux/a/b/c",
            "linux/a b",
            "linux/arm/",
        ] {
            let told = bad.parse::<Platform>().unwrap_err().to_string();
            assert!(told.contains("linux/ARCH"), "{told}");
        }
    }
}
