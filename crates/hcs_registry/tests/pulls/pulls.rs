//! Pulls from registries that do as tests say, hostile ones among them.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hcs_registry::{Access, CredentialFiles, Progress, RegistryError, Settings, pull};
use hcs_storage::{
    Digest, Limits,
    image::{Loaded, Store, document::Platform},
    layer::{Options, Rights},
    tar::{Entry, EntryPath, Kind, TarWriter, Timestamp},
};
use serde_json::json;

use crate::server::{Asked, End, Server, ServerAnswer};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn architecture() -> String {
    Platform::host().architecture
}

/// An image with one file.
struct Sample {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
    /// A list with the manifest, behind one for another machine.
    index: Vec<u8>,
}

impl Sample {
    fn new(content: &[u8]) -> Self {
        let mut archive = TarWriter::new(Vec::new());
        let entry = Entry {
            path: EntryPath::parse(b"file", 9).unwrap(),
            kind: Kind::File {
                size: content.len() as u64,
            },
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: BTreeMap::new(),
        };
        archive.entry(&entry, &mut &*content).unwrap();
        let layer = archive.finish().unwrap();
        let config = json!({
            "architecture": architecture(), "os": "linux", "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
        });
        let config = config.to_string().into_bytes();
        let part = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": part(CONFIG, &config), "layers": [part(LAYER, &layer)],
        });
        let manifest = manifest.to_string().into_bytes();
        let mut own = part(MANIFEST, &manifest);
        own["platform"] = json!({"os": "linux", "architecture": architecture()});
        let mut other = part(MANIFEST, b"other");
        other["platform"] = json!({"os": "linux", "architecture": "other"});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [other, own]});
        Self {
            layer,
            config,
            manifest,
            index: index.to_string().into_bytes(),
        }
    }

    /// What a true registry answers.
    fn answer(&self, asked: &Asked) -> ServerAnswer {
        let path = asked.path.as_str();
        let found = [&self.layer, &self.config, &self.manifest, &self.index].into_iter();
        let mut found = found.map(Vec::as_slice);
        match path.rsplit('/').next().unwrap_or_default() {
            "" => ServerAnswer::ok(b"{}"),
            "list" => ServerAnswer::ok(&self.index).header("Content-Type", INDEX),
            "latest" => ServerAnswer::ok(&self.manifest).header("Content-Type", MANIFEST),
            last => match found.find(|bytes| Digest::of(bytes).to_string() == last) {
                Some(bytes) => ServerAnswer::ok(bytes),
                None => ServerAnswer::with(404, b"{}"),
            },
        }
    }

    fn is_layer(&self, asked: &Asked) -> bool {
        asked.path.ends_with(&Digest::of(&self.layer).hex())
    }
}

fn access() -> Access {
    Access {
        settings: Settings::default(),
        credentials: CredentialFiles::default(),
        insecure: false,
        stall: Duration::from_secs(20),
        patience: Duration::ZERO,
        parallel: 3,
        platform: None,
    }
}

fn store(place: &Path) -> Store {
    let options = Options {
        limits: Limits::default(),
        rights: Rights::Root,
    };
    Store::open(&place.join("store"), options).unwrap()
}

/// Contents and layers in the store.
fn held(store: &Store) -> usize {
    let count = |folder: &str| fs::read_dir(store.root().join(folder)).unwrap().count();
    count("oci/blobs/sha256") + count("layers") + count("incoming")
}

fn pulled(store: &Store, server: &Server, image: &str, access: &Access) -> Result<Loaded, String> {
    let reference = format!("{}/{image}", server.address).parse().unwrap();
    pull(&|| Ok(store.clone()), &reference, access, &|_| ()).map_err(|error: RegistryError| {
        let mut text = error.to_string();
        let mut next = std::error::Error::source(&error);
        while let Some(cause) = next {
            text += &format!(": {cause}");
            next = cause.source();
        }
        text
    })
}

/// An image of two layers, of which the registry can be made to break off the second.
fn of_two_layers(second: Vec<u8>) -> (Sample, [Vec<u8>; 2]) {
    let layers = [Sample::new(b"first").layer, second];
    let digests = layers.each_ref().map(|layer| Digest::of(layer));
    let mut sample = Sample::new(b"first");
    let mut config: serde_json::Value = serde_json::from_slice(&sample.config).unwrap();
    config["rootfs"]["diff_ids"] = json!(digests);
    sample.config = config.to_string().into_bytes();
    let part = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": part(CONFIG, &sample.config),
        "layers": layers.each_ref().map(|layer| part(LAYER, layer)),
    });
    sample.manifest = manifest.to_string().into_bytes();
    (sample, layers)
}

/// A registry with an image whose second layer is not to be had while the flag is set.
fn breaking_off(second: Vec<u8>) -> (Server, Arc<AtomicBool>) {
    let (sample, layers) = of_two_layers(second);
    let second = format!("/{}", Digest::of(&layers[1]));
    let is_broken = Arc::new(AtomicBool::new(true));
    let breaks = Arc::clone(&is_broken);
    let server = Server::new(move |asked| match asked.path.ends_with(&second) {
        true if breaks.load(Ordering::Relaxed) => ServerAnswer::with(503, b"later"),
        true => ServerAnswer::ok(&layers[1]),
        false => sample.answer(asked),
    });
    (server, is_broken)
}

/// As [`access`], with one content at a time.
fn one_by_one() -> Access {
    Access {
        parallel: 1,
        ..access()
    }
}

#[test]
fn whole_layers_of_a_broken_pull_are_not_fetched_again() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let (server, is_broken) = breaking_off(Sample::new(&[7; 9000]).layer);
    let access = one_by_one();
    let fetched = || {
        let asked = server.asked();
        asked
            .iter()
            .filter(|asked| asked.path.contains("/blobs/"))
            .count()
    };
    for blobs in [3, 5] {
        let told = pulled(&store, &server, "tool", &access).unwrap_err();
        assert!(told.contains("503"), "{told}");
        // The configuration comes again, the first layer does not.
        assert_eq!((fetched(), held(&store)), (blobs, 1));
    }
    // No other work in the store removes it; a prune does.
    drop(Store::open(store.root(), Options::of_caller()).unwrap());
    assert_eq!(held(&store), 1);
    store.prune().unwrap();
    assert_eq!(held(&store), 0);
    pulled(&store, &server, "tool", &access).unwrap_err();
    assert_eq!((fetched(), held(&store)), (8, 1));
    is_broken.store(false, Ordering::Relaxed);
    pulled(&store, &server, "tool", &access).unwrap();
    assert_eq!(fetched(), 10);
    let notes = fs::read_dir(store.root().join("unfinished")).unwrap();
    assert_eq!(notes.count(), 0);
}

/// What an earlier try has left for later does not stay either.
#[test]
fn an_image_that_is_refused_in_the_end_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let (server, is_broken) = breaking_off(b"no archive".repeat(100));
    let access = one_by_one();
    let told = pulled(&store, &server, "tool", &access).unwrap_err();
    assert!(told.contains("503"), "{told}");
    assert_eq!(held(&store), 1);
    is_broken.store(false, Ordering::Relaxed);
    let told = pulled(&store, &server, "tool", &access).unwrap_err();
    assert!(!told.contains("503"), "{told}");
    assert_eq!(held(&store), 0);
}

#[test]
fn a_busy_registry_is_asked_again_within_a_limit() {
    let sample = Sample::new(b"text");
    let asked = Mutex::new(BTreeMap::new());
    let server = Server::new(move |request| {
        let mut asked = asked.lock().unwrap();
        let times: &mut u32 = asked.entry(request.path.clone()).or_default();
        *times += 1;
        match *times {
            1 => ServerAnswer::with(429, b"slowly").header("Retry-After", "0"),
            2 if sample.is_layer(request) => ServerAnswer::with(503, b"busy"),
            _ => sample.answer(request),
        }
    });
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let patience = Duration::from_secs(60);
    let access = |patience| Access {
        patience,
        ..access()
    };
    let waits = Mutex::new(Vec::new());
    let reference = format!("{}/tool", server.address).parse().unwrap();
    let fetched = pull(
        &|| Ok(store.clone()),
        &reference,
        &access(patience),
        &|progress| {
            if let Progress::Waiting(time) = progress {
                waits.lock().unwrap().push(time);
            }
        },
    );
    fetched.unwrap();
    // The first page, the manifest, the configuration, and the layer twice.
    let waits = waits.into_inner().unwrap();
    assert_eq!(waits.len(), 5, "{waits:?}");
    assert_eq!(waits.iter().filter(|time| !time.is_zero()).count(), 1);
    // More than it may ask for, or without end.
    for (after, times) in [("3600", 1), ("0", 5)] {
        let busy = Server::new(move |asked| match &*asked.path {
            "/v2/" => ServerAnswer::ok(b"{}"),
            _ => ServerAnswer::with(429, b"no").header("Retry-After", after),
        });
        let told = pulled(&store, &busy, "tool", &access(patience)).unwrap_err();
        assert!(told.contains("status 429"), "{told}");
        assert!(
            told.contains(&format!("left alone for {after} seconds")),
            "{told}"
        );
        let manifests = busy
            .asked()
            .into_iter()
            .filter(|asked| asked.path.contains("manifests"));
        assert_eq!(manifests.count(), times);
    }
}

#[test]
fn the_machine_that_is_asked_for_is_taken_and_no_other_is_fetched() {
    let sample = Arc::new(Sample::new(b"text"));
    let asked = Arc::clone(&sample);
    let server = Server::new(move |request| asked.answer(request));
    let place = tempfile::tempdir().unwrap();
    let fetch = |version: &str, machine: Option<&str>| {
        let platform = machine.map(|text| text.parse::<Platform>().unwrap());
        let store = store(place.path()).for_platform(platform.clone());
        let reference = format!("{}/a:{version}", server.address).parse().unwrap();
        let access = Access {
            platform,
            ..access()
        };
        pull(&|| Ok(store.clone()), &reference, &access, &|_| {})
    };
    let told = |loaded: Result<Loaded, RegistryError>| {
        let error = loaded.unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let list = told(fetch("list", Some("linux/s390x")));
    assert!(
        list.contains("no image for linux/s390x, but for linux/"),
        "{list}"
    );
    // What is in no list says in its configuration what it is for.
    let plain = told(fetch("latest", Some("linux/s390x")));
    assert!(plain.contains("no image for linux/s390x"), "{plain}");
    assert!(server.asked().iter().all(|asked| !sample.is_layer(asked)));
    let host = format!("linux/{}", architecture());
    fetch("list", Some(&host)).unwrap();
    fetch("latest", None).unwrap();
}

#[test]
fn an_image_comes_whole_with_what_is_not_there_already() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(b"text"));
    let own = Arc::clone(&sample);
    let server = Server::new(move |asked| own.answer(asked));
    let loaded = pulled(&store, &server, "a/tool", &access()).unwrap();
    assert_eq!(loaded.manifest, Digest::of(&sample.manifest));
    let name = format!("{}/a/tool:latest", server.address);
    assert_eq!(loaded.names[0].as_str(), name);
    let image = store.image(&name).unwrap();
    let layer = &store.layers(&image)[0];
    assert_eq!(fs::read(layer.join("file")).unwrap(), b"text");
    assert_eq!(held(&store), 4);
    // Of a list the image for this machine; its contents are there.
    let before = server.asked().len();
    let again = pulled(&store, &server, "a/tool:list", &access()).unwrap();
    assert_eq!(again.manifest, loaded.manifest);
    let asked = &server.asked()[before..];
    assert!(
        !asked.iter().any(|asked| asked.path.contains("/blobs/")),
        "{asked:?}"
    );
    // By its digest it has no name, and no other manifest is taken.
    let digest = Digest::of(&sample.manifest);
    let by_digest = pulled(&store, &server, &format!("a/tool@{digest}"), &access()).unwrap();
    assert_eq!((by_digest.names.len(), by_digest.manifest), (0, digest));
    let told = pulled(&store, &server, "a/tool:none", &access()).unwrap_err();
    assert!(told.contains("has no image a/tool"), "{told}");
    assert_eq!(store.images().unwrap().len(), 1);
    assert_eq!(held(&store), 4);
}

#[test]
fn a_content_that_breaks_off_goes_on_where_it_was() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(&[7; 100_000]));
    let own = Arc::clone(&sample);
    let server = Server::new(move |asked| {
        let answer = own.answer(asked);
        if !own.is_layer(asked) {
            return answer;
        }
        let from = asked.headers.get("range");
        let from = from.map_or(0, |range| {
            range["bytes=".len()..]
                .trim_end_matches('-')
                .parse()
                .unwrap()
        });
        let size = own.layer.len();
        let range = format!("bytes {from}-{}/{size}", size - 1);
        let status = if from == 0 { 200 } else { 206 };
        let rest = ServerAnswer::with(status, &own.layer[from..]).header("Content-Range", range);
        rest.end(End::Cut(40_000))
    });
    pulled(&store, &server, "tool", &access()).unwrap();
    let ranges = server
        .asked()
        .into_iter()
        .filter_map(|asked| asked.headers.get("range").cloned());
    assert_eq!(ranges.collect::<Vec<_>>(), ["bytes=40000-", "bytes=80000-"]);
}

#[test]
fn what_a_hostile_registry_answers_is_refused_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    type Lie = fn(&Sample, &Asked) -> Option<ServerAnswer>;
    let lies: [(&str, Lie); 12] = [
        ("its digest is", |sample, asked| {
            let mut layer = sample.layer.clone();
            layer[600] ^= 1;
            sample.is_layer(asked).then(|| ServerAnswer::ok(&layer))
        }),
        ("expected", |sample, asked| {
            sample
                .is_layer(asked)
                .then(|| ServerAnswer::ok(&sample.layer[1..]))
        }),
        ("bytes", |sample, asked| {
            let answer = ServerAnswer::ok(&sample.layer).end(End::Endless);
            sample.is_layer(asked).then_some(answer)
        }),
        ("failed", |sample, asked| {
            let cut = ServerAnswer::ok(&sample.layer).end(End::Cut(100));
            // The failure of the break is told, or that of the second answer.
            sample.is_layer(asked).then_some(cut)
        }),
        ("imeout", |sample, asked| {
            let stalled = ServerAnswer::ok(&sample.layer).end(End::Stall(100));
            sample.is_layer(asked).then_some(stalled)
        }),
        ("slower than", |sample, asked| {
            let drip = ServerAnswer::ok(&sample.layer).end(End::Drip(Duration::from_millis(50)));
            sample.is_layer(asked).then_some(drip)
        }),
        ("expected", |sample, asked| {
            let vast =
                ServerAnswer::ok(&sample.layer).header("Content-Length", u64::MAX.to_string());
            sample.is_layer(asked).then_some(vast)
        }),
        ("redirects more than", |sample, asked| {
            let around = ServerAnswer::with(302, b"").header("Location", asked.path.clone());
            sample.is_layer(asked).then_some(around)
        }),
        ("another protocol", |sample, asked| {
            let away = ServerAnswer::with(302, b"").header("Location", "ftp://127.0.0.1/x");
            sample.is_layer(asked).then_some(away)
        }),
        ("larger than", |_, asked| {
            let endless = ServerAnswer::ok(&[b' '; 4096]).end(End::Endless);
            asked.path.contains("/manifests/").then_some(endless)
        }),
        ("no valid document", |_, asked| {
            asked
                .path
                .contains("/manifests/")
                .then(|| ServerAnswer::ok(b"<html>"))
        }),
        ("status 500: a\\u{1b}b", |_, asked| {
            asked
                .path
                .contains("/manifests/")
                .then(|| ServerAnswer::with(500, b"a\x1bb"))
        }),
    ];
    for (text, lie) in lies {
        let sample = Sample::new(&[7; 5000]);
        let server =
            Server::new(move |asked| lie(&sample, asked).unwrap_or_else(|| sample.answer(asked)));
        // Only what is to time out has a short time.
        let stall = match text {
            "imeout" | "slower than" => Duration::from_millis(500),
            _ => access().stall,
        };
        let access = Access { stall, ..access() };
        let told = pulled(&store, &server, "tool", &access).unwrap_err();
        assert!(told.contains(text), "{text}: {told}");
        assert!(told.len() < 2000, "{told}");
        assert_eq!(held(&store), 0, "{text}");
    }
}

#[test]
fn what_is_no_image_is_refused_before_any_layer_is_fetched() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Sample::new(b"text");
    let of = |count: u64, size: u64| {
        let mut manifest: serde_json::Value = serde_json::from_slice(&sample.manifest).unwrap();
        let layer = |number: u64| json!({"mediaType": LAYER, "digest": Digest::of(&number.to_le_bytes()), "size": size});
        manifest["layers"] = (0..count).map(layer).collect();
        manifest.to_string().into_bytes()
    };
    for (text, manifest) in [
        ("20000 layers", of(20_000, 1 << 36)),
        ("bytes", of(2, u64::MAX / 2)),
        ("3 layers, and the configuration 1", of(3, 5)),
    ] {
        let answers = Sample {
            manifest,
            ..Sample::new(b"text")
        };
        let server = Server::new(move |asked| answers.answer(asked));
        let told = pulled(&store, &server, "tool", &access()).unwrap_err();
        assert!(told.contains(text), "{text}: {told}");
        let config = Digest::of(&sample.config).to_string();
        let blobs = server.asked().into_iter().map(|asked| asked.path);
        let layer = |path: &String| path.contains("/blobs/") && !path.ends_with(&config);
        assert_eq!(blobs.filter(layer).count(), 0, "{text}");
        assert_eq!(held(&store), 0, "{text}");
    }
}

#[test]
fn credentials_go_to_their_registry_and_to_no_other_host() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(b"text"));
    let own = Arc::clone(&sample);
    let elsewhere = Server::new(move |_| ServerAnswer::ok(&own.layer));
    let (own, other) = (Arc::clone(&sample), elsewhere.address);
    let server = Server::new(move |asked| {
        let authorization = asked.headers.get("authorization").map(String::as_str);
        if authorization != Some("Basic dXNlcjpwYXNz") {
            return ServerAnswer::with(401, b"{}").header("WWW-Authenticate", "Basic realm=\"x\"");
        }
        match own.is_layer(asked) {
            true => ServerAnswer::with(307, b"").header("Location", format!("http://{other}/far")),
            false => own.answer(asked),
        }
    });
    let told = pulled(&store, &server, "tool", &access()).unwrap_err();
    assert!(told.contains("no credentials are kept"), "{told}");
    let file = place.path().join("auth.json");
    let text = json!({"auths": {server.address.to_string(): {"auth": "dXNlcjpwYXNz"}}});
    fs::write(&file, text.to_string()).unwrap();
    let access = Access {
        credentials: CredentialFiles::of(vec![file]),
        ..access()
    };
    pulled(&store, &server, "tool", &access).unwrap();
    let far = elsewhere.asked();
    assert_eq!(far.len(), 1);
    assert_eq!(far[0].headers.get("authorization"), None, "{far:?}");
}

#[test]
fn a_place_that_is_redirected_to_gets_no_credentials_however_it_asks() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(b"text"));
    let hostile = Server::new(|asked| {
        let host = asked.headers["host"].clone();
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
        match asked.path.starts_with("/token") {
            true => ServerAnswer::ok(br#"{"token": "any"}"#),
            false => ServerAnswer::with(401, b"{}").header("WWW-Authenticate", challenge),
        }
    });
    let (own, other) = (Arc::clone(&sample), hostile.address);
    let server = Server::new(move |asked| match own.is_layer(asked) {
        true => {
            ServerAnswer::with(307, b"").header("Location", format!("http://{other}/far?signed=x"))
        }
        false => own.answer(asked),
    });
    let file = place.path().join("auth.json");
    let login = json!({"auth": "dXNlcjpwYXNz"});
    let text = json!({"auths": {server.address.to_string(): login, other.to_string(): login}});
    fs::write(&file, text.to_string()).unwrap();
    let access = Access {
        credentials: CredentialFiles::of(vec![file]),
        ..access()
    };
    let told = pulled(&store, &server, "tool", &access).unwrap_err();
    assert!(told.contains("asks for credentials"), "{told}");
    assert!(!told.contains("signed"), "{told}");
    let far = hostile.asked();
    assert_eq!(far.len(), 1, "{far:?}");
    assert_eq!(far[0].headers.get("authorization"), None, "{far:?}");
}

#[test]
fn a_token_is_had_of_the_place_that_the_registry_names() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(b"text"));
    let foreign = Server::new(|_| ServerAnswer::ok(br#"{"access_token": "good"}"#));
    let is_foreign = Arc::new(AtomicBool::new(false));
    let (own, away, other) = (
        Arc::clone(&sample),
        Arc::clone(&is_foreign),
        foreign.address,
    );
    let server = Server::new(move |asked| {
        let authorization = asked.headers.get("authorization").map(String::as_str);
        if asked.path.starts_with("/token?") {
            assert_eq!(
                asked.path,
                "/token?service=reg%20x&scope=repository%3Atool%3Apull"
            );
            return match authorization {
                Some("Basic dXNlcjpwYXNz") => ServerAnswer::ok(br#"{"token": "good"}"#),
                _ => ServerAnswer::with(401, b"{}"),
            };
        }
        if authorization == Some("Bearer good") {
            return own.answer(asked);
        }
        let host = match away.load(Ordering::Relaxed) {
            true => other.to_string(),
            false => asked.headers["host"].clone(),
        };
        let challenge = format!(
            "Bearer realm=\"http://{host}/token\",service=\"reg x\",scope=\"repository:tool:pull\""
        );
        ServerAnswer::with(401, b"{}").header("WWW-Authenticate", challenge)
    });
    let file = place.path().join("config.json");
    let text = json!({"auths": {server.address.to_string(): {"auth": "dXNlcjpwYXNz"}}});
    fs::write(&file, text.to_string()).unwrap();
    let access = Access {
        credentials: CredentialFiles::of(vec![file]),
        ..access()
    };
    pulled(&store, &server, "tool", &access).unwrap();
    // Without TLS another host is asked without the user's name.
    is_foreign.store(true, Ordering::Relaxed);
    pulled(&store, &server, "tool", &access).unwrap();
    let far = foreign.asked();
    let asked = far.last().unwrap();
    assert_eq!(asked.headers.get("authorization"), None, "{asked:?}");
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_after_it() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Arc::new(Sample::new(b"text"));
    let empty = Server::new(|asked| {
        ServerAnswer::with(if asked.path == "/v2/" { 200 } else { 404 }, b"{}")
    });
    let own = Arc::clone(&sample);
    let server = Server::new(move |asked| own.answer(asked));
    let file = place.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nprefix = \"registry.test\"\nlocation = \"{}/there\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        server.address, empty.address
    );
    fs::write(&file, text).unwrap();
    let access = Access {
        settings: Settings::read(&[file]).unwrap(),
        ..access()
    };
    let reference = "registry.test/tool".parse().unwrap();
    let loaded = pull(&|| Ok(store.clone()), &reference, &access, &|_| ()).unwrap();
    assert_eq!(loaded.names[0].as_str(), "registry.test/tool:latest");
    assert!(
        empty
            .asked()
            .iter()
            .any(|asked| asked.path == "/v2/tool/manifests/latest")
    );
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| asked.path == "/v2/there/tool/manifests/latest")
    );
}

/// A registry with an image whose layer is what it says to be, and no archive.
fn with_no_archive() -> Server {
    let mut sample = Sample::new(b"text");
    let was = Digest::of(&sample.layer).to_string();
    let size = sample.layer.len();
    sample.layer = vec![7; size];
    let now = Digest::of(&sample.layer).to_string();
    let config = Digest::of(&sample.config).to_string();
    sample.config = String::from_utf8(sample.config)
        .unwrap()
        .replace(&was, &now)
        .into();
    let manifest = String::from_utf8(sample.manifest)
        .unwrap()
        .replace(&was, &now);
    let manifest = manifest.replace(&config, &Digest::of(&sample.config).to_string());
    sample.manifest = manifest.into_bytes();
    Server::new(move |asked| sample.answer(asked))
}

#[test]
fn what_a_mirror_has_broken_is_had_of_the_next_place() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Sample::new(b"text");
    let layer = Digest::of(&sample.layer).to_string();
    let (broken, whole) = (
        with_no_archive(),
        Server::new(move |asked| sample.answer(asked)),
    );
    let file = place.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        whole.address, broken.address
    );
    fs::write(&file, text).unwrap();
    let access = Access {
        settings: Settings::read(&[file]).unwrap(),
        ..access()
    };
    let loaded = pulled(&store, &whole, "tool", &access).unwrap();
    let image = store.image(&loaded.manifest.to_string()).unwrap();
    assert_eq!(image.manifest.layers[0].digest.to_string(), layer);
    // Nothing of the broken one is left: configuration, layer, manifest, and the layer unpacked.
    assert_eq!(held(&store), 4);
}

#[test]
fn an_image_of_a_list_is_found_by_the_digest_of_the_list() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let sample = Sample::new(b"text");
    let (list, own) = (Digest::of(&sample.index), Digest::of(&sample.manifest));
    let server = Server::new(move |asked| sample.answer(asked));
    let wanted = format!("{}/tool@{list}", server.address);
    pulled(&store, &server, &format!("tool@{list}"), &access()).unwrap();
    assert_eq!(store.image(&wanted).unwrap().descriptor.digest, own);
    // Also once it has names, and after a pull that knows of no list.
    pulled(&store, &server, "tool", &access()).unwrap();
    let image = store.image(&wanted).unwrap();
    store.tag(&image, &"other".parse().unwrap()).unwrap();
    let index = fs::read_to_string(store.root().join("oci/index.json")).unwrap();
    assert_eq!(index.matches(&list.to_string()).count(), 2, "{index}");
    assert_eq!(store.image(&wanted).unwrap().names.len(), 2);
    // What a layout of another store says of lists is not believed.
    let other = tempfile::tempdir().unwrap();
    let loaded = crate::pulls::store(other.path());
    loaded.load_folder(&store.root().join("oci"), None).unwrap();
    assert!(loaded.image(&wanted).is_err());
    assert!(!loaded.image("other").unwrap().is_of_list());
    assert!(store.image("other").unwrap().is_of_list());
    store.remove("other").unwrap();
    store.remove(&format!("{}/tool", server.address)).unwrap();
    assert!(store.image(&wanted).is_err());
    assert_eq!(held(&store), 0);
}

#[test]
fn what_fails_everywhere_is_told() {
    let place = tempfile::tempdir().unwrap();
    let store = store(place.path());
    let refused = with_no_archive();
    let empty = Server::new(|asked| {
        ServerAnswer::with(if asked.path == "/v2/" { 200 } else { 404 }, b"{}")
    });
    let through = |mirror: &Server| {
        let file = place.path().join("registries.conf");
        let text = format!(
            "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}/of\"\n",
            empty.address, mirror.address
        );
        fs::write(&file, text).unwrap();
        let access = Access {
            settings: Settings::read(&[file]).unwrap(),
            ..access()
        };
        let reference = format!("{}/tool", empty.address).parse().unwrap();
        pull(&|| Ok(store.clone()), &reference, &access, &|_| ()).unwrap_err()
    };
    let told = through(&refused);
    let RegistryError::Everywhere { earlier, .. } = told else {
        panic!("{told:?}");
    };
    assert!(
        matches!(earlier[0], RegistryError::Unpack { .. }),
        "{earlier:?}"
    );
    assert_eq!(held(&store), 0);
    let told = through(&empty);
    let RegistryError::Everywhere { earlier, last } = told else {
        panic!("{told:?}");
    };
    assert!(
        earlier[0].to_string().contains("no image of/tool"),
        "{earlier:?}"
    );
    assert!(last.to_string().contains("no image tool"), "{last:?}");
}
