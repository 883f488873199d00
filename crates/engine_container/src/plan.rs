//! From a document to what is to be made: all that can be refused is refused here, before anything exists.
//!
//! Properties that no Linux container can have never come here: the service refuses them
//! (`hcs_schema::coverage::CONTAINER`).

use std::{os::fd::OwnedFd, path::Path, thread::available_parallelism};

use hcs_engine::engine::CreateRequest;
use hcs_schema::{
    Failure, HResult,
    documents::{Container, Layer, Signal, Storage},
    privileges::Capabilities,
};

use crate::{
    cgroup::{
        DeviceControl, DeviceRule, Limits,
        limits::{self, CpuLimits},
    },
    config::EngineConfig,
    parts::{
        hostname, mapped, names, network, nodes,
        own_places::OwnPlaces,
        privileges,
        rootfs::{
            self,
            left_out::{self, Searches},
        },
        scratch, scratch_image, sharing, temporary,
        user::{self, Namespace},
        volumes,
    },
    privilege::Privilege,
    source::Source,
    spec::{LaunchSpec, MappedSpec, Owners, RootSpec, UserSpec, ViewSpec},
};

/// What to make.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) spec: LaunchSpec,
    /// The signal that asks its processes to end, where that is not the usual one.
    pub(crate) stop_signal: Option<u8>,
    /// The named network namespace to join.
    pub(crate) network: Option<OwnedFd>,
    pub(crate) limits: Limits,
    /// What may be done with devices besides those of all containers.
    pub(crate) devices: Vec<DeviceRule>,
    /// Whether its user namespace is preferred, and left out where a file system cannot shift owners.
    pub(crate) preferred: bool,
}

/// Reads the document; looks at the host, changes nothing.
///
/// # Errors
/// A property that this engine refuses, or a path that does not lead to what it should, by JSON pointer.
pub(crate) fn check(
    request: &CreateRequest,
    config: &EngineConfig,
    devices: &DeviceControl,
    privilege: Privilege,
    (own, searches): (&OwnPlaces, &Searches),
) -> Result<Plan, Failure> {
    let none = Container::default();
    let container = request.document.container.as_ref().unwrap_or(&none);
    let guest = container.guest_os.as_ref();
    let networking = container.networking.as_ref();
    let namespace = user::check(container, config, privilege)?;
    let own_user = namespace.is_made();
    let preferred = namespace == Namespace::Preferred;
    let user = own_user.then(UserSpec::default);
    let host = nodes::Host {
        control: devices,
        privilege,
        own_ids: own_user && privilege == Privilege::Root,
    };
    let Shared {
        mapped,
        guarded,
        rules,
    } = shared(container, (config, own), host, preferred)?;
    let privileges = privileges::check(container, devices, own_user)?;
    if guarded {
        sharing::check_nodes(privileges.possible)?;
    }
    let hostname = hostname::check(
        guest.and_then(|os| os.host_name.as_deref()),
        &request.runtime_id,
    )?;
    let profile = config.profile.as_ref().ok();
    Ok(Plan {
        spec: LaunchSpec {
            profile: profile.map(|profile| profile.of(privileges.possible)),
            names: names::check(container, &hostname),
            hostname,
            // Known when they have been made.
            groups: Vec::new(),
            proof: false,
            root: root(container.storage.as_ref(), request, config, (own, searches))?,
            trusts_nodes: user.is_none()
                && privileges.possible.contains(Capabilities::MKNOD)
                && !matches!(devices, DeviceControl::None),
            guarded,
            mapped,
            temporary: temporary::check(
                container
                    .temporary_directories
                    .as_deref()
                    .unwrap_or_default(),
            )?,
            volumes: volumes::check(container.volumes.as_deref().unwrap_or_default())?,
            shared_memory: container.shared_memory_in_mb,
            user,
            privileges,
        },
        stop_signal: container.stop_signal.map(Signal::number),
        network: network::check(
            networking.and_then(|network| network.namespace.as_deref()),
            request.user,
        )?,
        limits: limits_of(container, config)?,
        devices: DeviceRule::merged(rules),
        preferred,
    })
}

/// The limits of its control groups.
fn limits_of(container: &Container, config: &EngineConfig) -> Result<Limits, Failure> {
    let asked = asked_processes(container)?;
    Ok(Limits {
        memory: limits::memory(container.memory.as_ref())?,
        cpu: match &container.processor {
            // Counting processors takes a dozen system calls.
            None => CpuLimits::default(),
            asked => limits::processor(asked.as_ref(), processors())?,
        },
        pids: asked.or(config.pids_limit),
        pids_asked: asked.is_some(),
    })
}

/// The most processes that a control group takes as a limit (`PID_MAX_LIMIT` of the kernel).
const MOST_PROCESSES: u64 = 4 << 20;

/// The limit of processes that the document names.
///
/// # Errors
/// The kernel has no such number of processes.
fn asked_processes(container: &Container) -> Result<Option<u64>, Failure> {
    let asked = container.process_limit.filter(|limit| *limit > 0);
    if let Some(limit) = asked.filter(|limit| *limit > MOST_PROCESSES) {
        let reason = format!("it is {limit}; expected at most {MOST_PROCESSES}");
        let message = "a limit of processes is more than the kernel has";
        return Err(
            Failure::new(HResult::E_INVALIDARG, message).cause_at(limits::PROCESSES, reason)
        );
    }
    Ok(asked)
}

/// What of the host a container has.
struct Shared {
    /// In the order to be mounted.
    mapped: Vec<MappedSpec>,
    /// Whether what it makes there must give no power on the host.
    guarded: bool,
    /// What it may do with the devices among them.
    rules: Vec<DeviceRule>,
}

/// Looks at what the document shares with the container.
fn shared(
    container: &Container,
    (config, own): (&EngineConfig, &OwnPlaces),
    host: nodes::Host<'_>,
    preferred: bool,
) -> Result<Shared, Failure> {
    let owners = match preferred {
        true => Owners::Shifted,
        false => Owners::AsOnTheHost,
    };
    let mut mapped = mapped::check(
        container.mapped_directories.as_deref().unwrap_or_default(),
        container.mapped_pipes.as_deref().unwrap_or_default(),
        owners,
    )?;
    own.cover_in_mapped(&mut mapped)?;
    if host.own_ids {
        let ranges = (config.user_namespaces.users, config.user_namespaces.groups);
        for spec in &mapped {
            sharing::check_usable(spec, ranges)?;
        }
    }
    let networking = container.networking.as_ref();
    let joins = networking.and_then(|network| network.namespace.as_deref());
    let joins = joins.is_some_and(|name| !name.is_empty());
    let guarded = sharing::check(&mapped, joins)?;
    let named = container.mapped_devices.as_deref().unwrap_or_default();
    let (shown, rules): (Vec<_>, Vec<_>) = nodes::check(named, host)?.into_iter().unzip();
    mapped.extend(shown);
    mapped.sort_by_key(|mapped| mapped::depth(&mapped.target));
    Ok(Shared {
        mapped,
        guarded,
        rules,
    })
}

/// Processors of this machine that the service may use.
pub(crate) fn processors() -> u64 {
    available_parallelism().map_or(1, |count| u64::try_from(count.get()).unwrap_or(1))
}

/// The root file system: the named layers, or a view of the host's own files when the document names none.
fn root(
    storage: Option<&Storage>,
    request: &CreateRequest,
    config: &EngineConfig,
    (places, searches): (&OwnPlaces, &Searches),
) -> Result<RootSpec, Failure> {
    let named = storage
        .and_then(|storage| storage.layers.as_deref())
        .unwrap_or_default();
    let mut layers = named
        .iter()
        .enumerate()
        .map(|(index, layer)| check_layer(layer, index))
        .collect::<Result<Vec<Source>, Failure>>()?;
    if layers.len() > rootfs::MAX_LAYERS {
        let message = format!(
            "{} layers are given; {} are possible",
            layers.len(),
            rootfs::MAX_LAYERS
        );
        let failure = Failure::new(HResult::NOT_SUPPORTED, message.clone());
        return Err(failure.cause_at("/Container/Storage/Layers", message));
    }
    let tree = storage.and_then(|storage| storage.host_directory.as_deref());
    let view = view(layers.is_empty(), tree, config, searches)?;
    if view.is_some() {
        layers.push(Source::own("/".to_owned()));
    }
    let kept = storage.and_then(|storage| storage.path.as_deref());
    let scratch = match kept {
        Some(path) => check_directory(path, scratch::POINTER, HResult::FILE_NOT_FOUND)?,
        None => own_scratch(request, config)?,
    };
    let named = layers.iter().filter(|layer| !rootfs::is_host(&layer.path));
    let mut hidden = places.in_layers(named)?;
    let sees_host = layers.iter().any(|layer| rootfs::is_host(&layer.path));
    // The view leaves them out by itself.
    if sees_host && view.is_none() {
        let own = config.own_directories();
        let socket = config.socket_directory.iter();
        for own in own.chain(socket.filter(|path| path.as_path() != Path::new("/"))) {
            hidden.push(utf8(own)?);
        }
        for other in places.of_others()? {
            if other.is_dir() && other.as_path() != Path::new("/") {
                hidden.push(utf8(&other)?);
            }
        }
    }
    Ok(RootSpec {
        layers,
        scratch,
        limit: scratch_image::check(storage, config.scratch_limit)?,
        keep: kept.is_some(),
        read_only: storage.and_then(|storage| storage.read_only) == Some(true),
        hidden,
        view,
    })
}

/// The view of the host's own files, which a container without layers has.
fn view(
    is_without_layers: bool,
    tree: Option<&str>,
    config: &EngineConfig,
    searches: &Searches,
) -> Result<Option<ViewSpec>, Failure> {
    match (is_without_layers, tree) {
        (true, tree) => left_out::check(config, tree, searches).map(Some),
        (false, None) => Ok(None),
        (false, Some(_)) => {
            let message = "a directory of the host is shown in the view of the host's files only, which a container with \
                           Layers does not have; name it in MappedDirectories, or as a layer";
            let failure = Failure::new(HResult::NOT_SUPPORTED, message);
            Err(failure.cause_at(left_out::TREE, message))
        }
    }
}

fn own_scratch(request: &CreateRequest, config: &EngineConfig) -> Result<Source, Failure> {
    let path = config.scratch_root.join(&request.runtime_id);
    utf8(&path).map(Source::own)
}

/// A path of the configuration in the encoding of documents.
fn utf8(path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let message = format!("the configured path {} is not valid UTF-8", path.display());
        Failure::new(HResult::E_INVALIDARG, message)
    })
}

fn check_layer(layer: &Layer, index: usize) -> Result<Source, Failure> {
    let at = format!("/Container/Storage/Layers/{index}");
    let path = layer.path.as_deref().unwrap_or_default();
    check_directory(path, &format!("{at}/Path"), HResult::HCS_E_INVALID_LAYER)
}

/// `path` has to lead to a directory; something else is answered with `other_kind`.
fn check_directory(path: &str, pointer: &str, other_kind: HResult) -> Result<Source, Failure> {
    let refuse = |hresult, message: String| {
        Err(Failure::new(hresult, message.clone()).cause_at(pointer, message))
    };
    if !path.starts_with('/') {
        return refuse(
            HResult::E_INVALIDARG,
            format!("{path:?} is not an absolute path"),
        );
    }
    let (source, kind) = Source::look(path, pointer).map_err(|error| {
        let summary = format!("the directory {path:?} cannot be used");
        error.into_failure(summary)
    })?;
    if !kind.is_dir() {
        return refuse(other_kind, format!("{path:?} is not a directory"));
    }
    Ok(source)
}

#[cfg(test)]
mod tests {
    use hcs_schema::documents::ComputeSystem;

    use super::*;

    fn plan(container: &str) -> Result<Plan, Failure> {
        let document = format!(r#"{{ "Container": {container} }}"#);
        let request = CreateRequest {
            id: "test".to_owned(),
            runtime_id: "3f2504e0-4f89-11d3-9a0c-0305e82c3301".to_owned(),
            document: serde_json::from_str::<ComputeSystem>(&document).unwrap(),
            directory: "/nowhere".into(),
            user: 0,
        };
        let config = EngineConfig {
            // Services of the host tell each other nothing that counts here.
            places: "/run/hcs-no-places".into(),
            ..EngineConfig::default()
        };
        let searches = Searches::default();
        check(
            &request,
            &config,
            &DeviceControl::None,
            Privilege::Root,
            (&OwnPlaces::of(&config), &searches),
        )
    }

    fn layers(plan: &Plan) -> Vec<&str> {
        plan.spec
            .root
            .layers
            .iter()
            .map(|layer| layer.path.as_str())
            .collect()
    }

    #[test]
    fn nothing_said_means_a_throw_away_view_of_the_host() {
        let plan = plan("{}").unwrap();
        assert_eq!(layers(&plan), ["/"]);
        assert!(!plan.spec.root.keep);
        let scratch = "/var/lib/hcs/scratch/3f2504e0-4f89-11d3-9a0c-0305e82c3301";
        assert_eq!(plan.spec.root.scratch.path, scratch);
        let view = plan.spec.root.view.as_ref().unwrap();
        assert!(plan.spec.root.hidden.is_empty());
        let empty: Vec<_> = view
            .left_out
            .empty
            .iter()
            .map(|entry| &*entry.path)
            .collect();
        assert!(
            ["/home", "/root", "/tmp"]
                .iter()
                .all(|path| empty.contains(path))
        );
        assert!(view.left_out.absent.contains(&"/etc/shadow".to_owned()));
        assert_eq!(plan.spec.hostname, "3f2504e04f89");
        assert_eq!(plan.limits.pids, Some(4096));
        assert!(plan.network.is_none());
    }

    #[test]
    fn the_layer_of_the_host_shows_all_but_what_is_the_services() {
        let plan = plan(r#"{ "Storage": { "Layers": [{ "Path": "/" }] } }"#).unwrap();
        assert_eq!(
            plan.spec.root.hidden,
            ["/var/lib/hcs/scratch", "/run/hcs-ids", "/run/hcs-no-places"]
        );
        assert!(plan.spec.root.view.is_none());
    }

    #[test]
    fn a_directory_of_the_host_is_no_addition_to_layers() {
        let storage = r#"{ "Storage": { "Layers": [{ "Path": "/" }], "HostDirectory": "/usr" } }"#;
        let failure = plan(storage).unwrap_err();
        assert_eq!(failure.hresult, HResult::NOT_SUPPORTED);
        assert_eq!(failure.causes[0].pointer.as_deref(), Some(left_out::TREE));
    }

    #[test]
    fn only_a_view_of_the_host_hides_something() {
        let plan = plan(r#"{ "Storage": { "Layers": [{ "Path": "/usr" }, { "Path": "/etc" }] } }"#);
        let plan = plan.unwrap();
        assert_eq!(layers(&plan), ["/usr", "/etc"]);
        assert!(plan.spec.root.hidden.is_empty());
    }

    #[test]
    fn a_named_scratch_is_kept() {
        let plan = plan(r#"{ "Storage": { "Path": "/tmp" } }"#).unwrap();
        assert!(plan.spec.root.keep);
        assert_eq!(layers(&plan), ["/"]);
        assert_eq!(plan.spec.root.scratch.pointer, scratch::POINTER);
    }

    #[test]
    fn directories_are_looked_at_before_anything_is_made() {
        let refused = [
            (r#"[{ "Path": "/not/there" }]"#, HResult::FILE_NOT_FOUND),
            (r#"[{ "Path": "/dev/null" }]"#, HResult::HCS_E_INVALID_LAYER),
            (r#"[{ "Path": "usr" }]"#, HResult::E_INVALIDARG),
            ("[{}]", HResult::E_INVALIDARG),
        ];
        for (layers, hresult) in refused {
            let failure =
                plan(&format!(r#"{{ "Storage": {{ "Layers": {layers} }} }}"#)).unwrap_err();
            assert_eq!(failure.hresult, hresult, "{failure:?}");
            let pointer = failure.causes[0].pointer.as_deref();
            assert_eq!(pointer, Some("/Container/Storage/Layers/0/Path"));
        }
    }

    #[test]
    fn roots_are_recognised_however_they_are_written() {
        assert!(rootfs::is_host("/") && rootfs::is_host("//"));
        assert!(!rootfs::is_host("") && !rootfs::is_host("/usr/"));
    }
}
