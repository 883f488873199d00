//! What a registry answers: statuses, headers, challenges, tokens, lists, manifests, contents and ranges of them.
//!
//! An input is the answers of a registry on loopback as they are sent, one for each connection, with lines of `====`
//! between. `@HOME@` in it stands for the registry's address. No input leads to another host: there is no `//` in it.
//! What is refused leaves nothing in the store, and what is pulled is whole there.

#![no_main]

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process,
    sync::{Mutex, OnceLock},
    thread,
    time::Duration,
};

use hcs_registry::{Access, CredentialFiles, Settings, pull};
use hcs_storage::{
    Limits,
    image::Store,
    layer::{self, Options, Rights, Special},
};
use libfuzzer_sys::fuzz_target;

/// What a record of TLS begins with.
const HANDSHAKE: u8 = 22;
const BETWEEN: &[u8] = b"\n====\n";

/// Answers that are still to be given.
static ANSWERS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fuzz_target!(|data: &[u8]| {
    if data.windows(2).any(|pair| pair == b"//") {
        return;
    }
    let (address, place) = registry();
    let (home, store) = (format!("http://{address}"), place.join("store"));
    let mut answers: Vec<Vec<u8>> = Vec::new();
    let mut rest = data;
    while let Some(at) = find(rest, BETWEEN) {
        answers.push(replaced(&rest[..at], &home));
        rest = &rest[at + BETWEEN.len()..];
    }
    answers.push(replaced(rest, &home));
    answers.reverse();
    *ANSWERS.lock().unwrap() = answers;
    let options = Options {
        limits: Limits {
            bytes: 1 << 20,
            entries: 100,
            metadata: 1 << 20,
            depth: 20,
            time: Duration::from_secs(20),
        },
        rights: Rights::User(Special::Omit),
    };
    let access = Access {
        settings: Settings::default(),
        credentials: CredentialFiles::of(vec![place.join("config.json")]),
        insecure: false,
        stall: Duration::from_secs(2),
        patience: Duration::ZERO,
        parallel: 2,
        platform: None,
    };
    let reference = format!("{address}/tool:1").parse().unwrap();
    let pulled = pull(
        &|| Store::open(&store, options),
        &reference,
        &access,
        &|_| (),
    );
    if let Some(found) = Store::existing(&store, options).unwrap() {
        if pulled.is_err() {
            // Whole layers of a broken pull stay for the next one.
            found.prune().unwrap();
        }
        let images = found.images().unwrap();
        assert_eq!(images.len(), usize::from(pulled.is_ok()));
        let layers: usize = images.iter().map(|image| found.layers(image).len()).sum();
        let names = |folder: &str| fs::read_dir(store.join(folder)).unwrap().count();
        assert!(names("layers") <= layers && names("incoming") == 0);
        assert!(pulled.is_ok() || names("oci/blobs/sha256") == 0);
        layer::remove(&store).unwrap();
    } else {
        assert!(pulled.is_err());
    }
});

/// The registry, which serves until the program ends, and a directory that has a user and a password for it.
fn registry() -> &'static (SocketAddr, PathBuf) {
    static REGISTRY: OnceLock<(SocketAddr, PathBuf)> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let place = env::temp_dir().join(format!("hcs-fuzz-registry-{}", process::id()));
        layer::remove(&place).unwrap();
        fs::create_dir_all(&place).unwrap();
        let login = format!(r#"{{"auths": {{"{address}": {{"auth": "dXNlcjpwYXNz"}}}}}}"#);
        fs::write(place.join("config.json"), login).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        (address, place)
    })
}

/// Reads a request, and gives the next answer.
fn serve(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut buffer = [0; 4096];
    while find(&asked, b"\r\n\r\n").is_none() {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(_) if buffer[0] == HANDSHAKE && asked.is_empty() => return,
            Ok(read) => asked.extend_from_slice(&buffer[..read]),
        }
    }
    let answer = ANSWERS.lock().unwrap().pop().unwrap_or_default();
    let _left = stream
        .write_all(&answer)
        .and_then(|()| stream.shutdown(Shutdown::Write));
    // Until the other side has read it.
    while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn replaced(text: &[u8], home: &str) -> Vec<u8> {
    let (mut replaced, mut rest) = (Vec::new(), text);
    while let Some(at) = find(rest, b"@HOME@") {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(home.as_bytes());
        rest = &rest[at + 6..];
    }
    replaced.extend_from_slice(rest);
    replaced
}
