//! The options of what a process may do and use beside what its user may: the same for a container, for all its
//! processes, and for one process.

use clap::Args;
use hcs_schema::{
    documents::{ProcessParameters, ResourceLimit},
    privileges::{Capabilities, limits},
};

/// What is given and taken away.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Privileges")]
pub(crate) struct PrivilegeOptions {
    /// Give a capability, such as NET_RAW, or ALL; repeat for more. `hcs exec` gives what the container was made with,
    /// and the usual ones
    #[arg(long = "cap-add", value_name = "CAP", value_parser = capability)]
    added: Vec<String>,

    /// Take a capability away, or ALL; repeat for more
    #[arg(long = "cap-drop", value_name = "CAP", value_parser = capability)]
    dropped: Vec<String>,

    /// Let programs such as sudo gain rights (set-user-ID, file capabilities)
    #[arg(long)]
    allow_new_privileges: bool,

    /// Limit what each process may use, such as nofile=1024:4096, core=0, memlock=unlimited; repeat for more. Without
    /// it, files are limited as for the service, and to half of that in a container without ids of its own
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]", value_parser = limit)]
    limits: Vec<ResourceLimit>,
}

impl PrivilegeOptions {
    /// Puts them into the document of one process.
    pub(crate) fn apply(&self, parameters: &mut ProcessParameters) {
        parameters.add_capabilities = self.added();
        parameters.drop_capabilities = self.dropped();
        parameters.no_new_privileges = self.no_new_privileges();
        parameters.resource_limits = self.limits();
    }

    /// `AddCapabilities`.
    pub(crate) fn added(&self) -> Option<Vec<String>> {
        (!self.added.is_empty()).then(|| self.added.clone())
    }

    /// `DropCapabilities`.
    pub(crate) fn dropped(&self) -> Option<Vec<String>> {
        (!self.dropped.is_empty()).then(|| self.dropped.clone())
    }

    /// `NoNewPrivileges`.
    pub(crate) fn no_new_privileges(&self) -> Option<bool> {
        self.allow_new_privileges.then_some(false)
    }

    /// `ResourceLimits`.
    pub(crate) fn limits(&self) -> Option<Vec<ResourceLimit>> {
        (!self.limits.is_empty()).then(|| self.limits.clone())
    }
}

/// The name of a capability as documents spell it.
fn capability(text: &str) -> Result<String, String> {
    let set = Capabilities::named([text])
        .map_err(|error| format!("{error}; known are ALL, {}", Capabilities::known_names()))?;
    if set == Capabilities::ALL {
        return Ok("ALL".to_owned());
    }
    Ok(set.to_string())
}

fn limit(text: &str) -> Result<ResourceLimit, String> {
    let expected = "expected NAME=SOFT[:HARD]";
    let (name, values) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} has no value; {expected}"))?;
    if limits::number(name).is_none() {
        let known = limits::known_names();
        return Err(format!(
            "{name:?} is not the name of a limit; known are {known}"
        ));
    }
    let value = |text: &str| match text {
        "unlimited" | "-1" => Ok(limits::UNLIMITED),
        number => number.parse::<u64>().map_err(|_| {
            format!("{number:?} is neither a number of at least 0 nor \"unlimited\"; {expected}")
        }),
    };
    let (soft, hard) = match values.split_once(':') {
        Some((soft, hard)) => (value(soft)?, value(hard)?),
        None => (value(values)?, value(values)?),
    };
    if hard < soft {
        return Err(format!(
            "the soft limit {soft} is above the hard one, {hard}"
        ));
    }
    Ok(ResourceLimit {
        name: Some(name.to_ascii_lowercase()),
        soft: Some(soft),
        hard: Some(hard),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_in_documents() {
        assert_eq!(capability("net_raw"), Ok("CAP_NET_RAW".to_owned()));
        assert_eq!(capability("CAP_KILL"), Ok("CAP_KILL".to_owned()));
        assert_eq!(capability("all"), Ok("ALL".to_owned()));
        let error = capability("NETRAW").unwrap_err();
        assert!(error.contains("did you mean CAP_NET_RAW?"), "{error}");
        assert!(error.contains("CAP_CHECKPOINT_RESTORE"), "{error}");
    }

    #[test]
    fn limits_have_one_value_or_two() {
        let values = |text| limit(text).map(|limit| (limit.soft.unwrap(), limit.hard.unwrap()));
        assert_eq!(values("nofile=64"), Ok((64, 64)));
        assert_eq!(values("NOFILE=64:128"), Ok((64, 128)));
        assert_eq!(values("memlock=0:-1"), Ok((0, u64::MAX)));
        assert_eq!(values("core=unlimited"), Ok((u64::MAX, u64::MAX)));
        for (text, part) in [
            ("nofile", "has no value"),
            ("files=1", "known are cpu"),
            ("nofile=x", "neither a number"),
            ("nofile=2:1", "above the hard one"),
        ] {
            let error = limit(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
