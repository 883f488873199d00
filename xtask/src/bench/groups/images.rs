//! Images: unpacked, run, shared by many containers and got from a registry, beside the programs that do the same.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use super::{About, Context, Outcome};
use crate::bench::{
    command::{Line, line, output, require, run},
    image::{self, Layer},
    interleave::{Regime, Subject},
    peers::{ImageStore, image_stores},
};

/// The image that is unpacked: 300 MB in 10,000 files.
const FILES: usize = 10_000;
const FILE_BYTES: usize = 30 << 10;
/// Containers of one image at the same time.
const CONTAINERS: usize = 50;

const LOAD: &str = "hcs image load";
const UNPACKED: &str = "unpacking an image, hcs / the fastest peer";
const MEMORY: &str = "peak memory of unpacking an image, hcs / the peer with the least";
const WARM: &str = "hcs run IMAGE beyond hcs run --layer";
const SHARED: &str = "disk of 50 containers of one image, in its store";

pub(super) fn images(context: &mut Context<'_>) -> Outcome {
    let folder = context.bundles.state("images")?;
    let files = if context.quick { FILES / 20 } else { FILES };
    let root = folder.join("root");
    fill(&root, files)?;
    let archive = image::make(&root, &folder, Layer::Gzip)?;
    fs::remove_dir_all(&root).map_err(|e| format!("removing {}: {e}", root.display()))?;
    unpacking(context, &folder, &archive)?;
    pulling(context, &folder, &archive)?;
    running(context, &folder)?;
    sharing(context, &folder)
}

/// Makes files of pieces that come again and of others that do not, which halves when it is compressed.
fn fill(root: &Path, files: usize) -> Outcome {
    const PIECE: usize = 64;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for number in 0..files {
        let directory = root.join(format!("d{}", number / 100));
        let mut content = Vec::with_capacity(FILE_BYTES);
        while content.len() < FILE_BYTES {
            match next() % 2 {
                0 => content.extend([0x20; PIECE]),
                _ => (0..PIECE / 8).for_each(|_| content.extend(next().to_le_bytes())),
            }
        }
        let written = fs::create_dir_all(&directory)
            .and_then(|()| fs::write(directory.join(format!("f{number}")), content));
        written.map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    Ok(())
}

/// An empty folder in place of what is there.
fn fresh(path: &Path) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    if path.exists() {
        fs::remove_dir_all(path).map_err(failed)?;
    }
    fs::create_dir_all(path).map_err(failed)?;
    Ok(path.display().to_string())
}

/// A program that unpacks the image into an empty place, which is not in its time.
struct Unpacker {
    store: Box<dyn ImageStore>,
}

impl Unpacker {
    fn sample(&self) -> Result<Option<std::time::Duration>, String> {
        self.store.empty()?;
        let begin = Instant::now();
        run(&self.store.load())?;
        Ok(Some(begin.elapsed()))
    }

    /// The most memory that its processes had, in kB: of the largest process, and of a daemon.
    fn peak(&self) -> Result<f64, String> {
        const MEASURE: &str = "import resource, subprocess, sys\n\
            code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)\n\
            print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
            sys.exit(code)";
        self.store.empty()?;
        let mut command = line(&["python3", "-c", MEASURE]);
        command.extend(self.store.load());
        let said = output(&command)?;
        let own: f64 = said.trim().parse().map_err(|e| format!("{said:?}: {e}"))?;
        Ok(own + self.store.daemon_peak()?)
    }
}

/// Ours, with a store in `place`.
struct Ours {
    program: String,
    archive: String,
    place: PathBuf,
}

impl ImageStore for Ours {
    fn name(&self) -> &'static str {
        LOAD
    }

    fn empty(&self) -> Outcome {
        fresh(&self.place).map(drop)
    }

    fn load(&self) -> Line {
        let place = self.place.display().to_string();
        line(&[
            &self.program,
            "image",
            "load",
            "--store",
            &place,
            &self.archive,
        ])
    }
}

/// The image unpacked as a file of it comes: the time, and the most memory.
fn unpacking(context: &mut Context<'_>, folder: &Path, archive: &Path) -> Outcome {
    let archive = archive.display().to_string();
    let ours = Ours {
        program: context.program.path().to_owned(),
        archive: archive.clone(),
        place: folder.join("ours"),
    };
    let mut all = vec![Unpacker {
        store: Box::new(ours),
    }];
    for store in image_stores(context.bundles, folder, &archive) {
        match store {
            Ok(store) => all.push(Unpacker { store }),
            Err(reason) => context.report.miss(reason),
        }
    }
    let subjects = all.iter().map(|one| match one.store.name() {
        LOAD => Subject::timed(LOAD, || one.sample()),
        name => Subject::timed_peer(name, || one.sample()),
    });
    let about = About {
        name: "image-unpack",
        title: format!("an image of 300 MB in {FILES} files, from a file, unpacked"),
        base: LOAD,
    };
    context.compare(&about, &[(Regime::Hot, 5)], subjects.collect())?;
    let median = |name| context.report.median(about.name, Regime::Hot.name(), name);
    let peers = all
        .iter()
        .skip(1)
        .filter_map(|one| median(one.store.name()));
    if let (Some(own), fastest) = (median(LOAD), peers.fold(f64::INFINITY, f64::min))
        && fastest.is_finite()
    {
        context.report.add(UNPACKED, own / fastest, "");
    }
    let mut least = f64::INFINITY;
    let mut own = None;
    for one in &all {
        let name = one.store.name();
        match one.peak() {
            Ok(peak) => {
                context
                    .report
                    .add(format!("peak memory, {name}"), peak / 1024.0, "MB");
                if name == LOAD {
                    own = Some(peak);
                } else {
                    least = least.min(peak);
                }
            }
            Err(reason) => context.report.miss(format!("{name}: {reason}")),
        }
        one.store.empty()?;
    }
    if let Some(own) = own.filter(|_| least.is_finite()) {
        context.report.add(MEMORY, own / least, "");
    }
    Ok(())
}

/// A registry of Debian's on loopback.
struct Registry {
    child: Child,
    address: String,
}

impl Registry {
    fn start(folder: &Path) -> Result<Self, String> {
        let program = require("docker-registry", "docker-registry")?;
        let settings = json!({
            "version": "0.1", "storage": {"filesystem": {"rootdirectory": folder.join("registry")}},
            "http": {"addr": "127.0.0.1:0"},
        });
        let file = folder.join("registry.yml");
        fs::write(&file, settings.to_string()).map_err(|e| format!("registry.yml: {e}"))?;
        let mut child = Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot run docker-registry: {e}"))?;
        let said = child.stderr.take();
        let mut registry = Self {
            child,
            address: String::new(),
        };
        let mut lines = BufReader::new(said.ok_or("docker-registry says nothing")?).lines();
        let listens = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            Some(rest.split(['"', ',']).next()?.to_owned())
        });
        registry.address = listens.ok_or("docker-registry does not listen")?;
        // What it says later must not hold it up.
        thread::spawn(move || lines.for_each(drop));
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that has ended by itself needs no signal.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A registry that has the image, and where.
fn pushed(folder: &Path, archive: &Path) -> Result<(Registry, String), String> {
    require("skopeo", "skopeo")?;
    let registry = Registry::start(folder)?;
    let to = format!("docker://{}/tools:1", registry.address);
    let from = format!("oci-archive:{}", archive.display());
    let copy = [
        "skopeo",
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
        &from,
        &to,
    ];
    run(&line(&copy))?;
    Ok((registry, to))
}

/// The image got from a registry of this machine. skopeo copies it, hcs unpacks it as well.
fn pulling(context: &mut Context<'_>, folder: &Path, archive: &Path) -> Outcome {
    const OURS: &str = "hcs image pull, unpacked as well";
    let (registry, from) = match pushed(folder, archive) {
        Ok(pushed) => pushed,
        Err(reason) => {
            context.report.miss(reason);
            return Ok(());
        }
    };
    let program = context.program.path().to_owned();
    let [own, other] = ["pulled", "copied"].map(|name| folder.join(name));
    let name = format!("{}/tools:1", registry.address);
    let subjects = vec![
        Subject::timed(OURS, || {
            let store = fresh(&own)?;
            let begin = Instant::now();
            run(&line(&[
                &program,
                "image",
                "pull",
                "--quiet",
                "--insecure",
                "--store",
                &store,
                &name,
            ]))?;
            Ok(Some(begin.elapsed()))
        }),
        Subject::timed_peer("skopeo copy, not unpacked", || {
            let to = format!("oci:{}:1", fresh(&other)?);
            let begin = Instant::now();
            run(&line(&[
                "skopeo",
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                &from,
                &to,
            ]))?;
            Ok(Some(begin.elapsed()))
        }),
    ];
    let about = About {
        name: "image-pull",
        title: "the same image, from a registry on loopback".to_owned(),
        base: OURS,
    };
    context.compare(&about, &[(Regime::Hot, 5)], subjects)
}

/// The small image in a store of its own: where that is, and the directory of the image's layer.
fn small(context: &Context<'_>, folder: &Path) -> Result<(String, String), String> {
    let store = folder.join("small");
    let place = store.display().to_string();
    let hcs = context.program.path();
    if !store.exists() {
        let image = context.bundles.image()?;
        run(&line(&[hcs, "image", "load", "--store", &place, &image]))?;
    }
    let said = output(&line(&[
        hcs,
        "image",
        "inspect",
        "--store",
        &place,
        image::NAME,
    ]))?;
    let said: Value = serde_json::from_str(&said).map_err(|e| format!("inspect: {e}"))?;
    let layer = said["Layers"][0]["Path"]
        .as_str()
        .ok_or("the image has no layer")?;
    Ok((place, layer.to_owned()))
}

/// A container of an image, beside one of the same directory that is named. Neither has a network: that takes as long
/// for both, and its removal makes the samples differ by more than what is looked for.
fn running(context: &mut Context<'_>, folder: &Path) -> Outcome {
    const IMAGE: &str = "hcs run IMAGE";
    const LAYER: &str = "hcs run --layer";
    let (store, layer) = small(context, folder)?;
    let hcs = context.program.path().to_owned();
    let of_image = line(&[
        &hcs,
        "run",
        "--network",
        "none",
        "--store",
        &store,
        image::NAME,
        "/bin/true",
    ]);
    let of_layer = line(&[
        &hcs,
        "run",
        "--network",
        "none",
        "--layer",
        &layer,
        "--",
        "/bin/true",
    ]);
    let subjects = vec![
        Subject::new(IMAGE, || run(&of_image)),
        Subject::new(LAYER, || run(&of_layer)),
    ];
    let about = About {
        name: "image-run",
        title: "a container of an image that is there, for one process".to_owned(),
        base: LAYER,
    };
    context.compare(&about, &[(Regime::Hot, 200)], subjects)?;
    let median = |name| context.report.median(about.name, Regime::Hot.name(), name);
    if let (Some(image), Some(layer)) = (median(IMAGE), median(LAYER)) {
        context.report.add(WARM, (image - layer) / 1e3, "ms");
    }
    Ok(())
}

/// What a store has more on disk with many containers of one image than with none: notes of who uses it.
fn sharing(context: &mut Context<'_>, folder: &Path) -> Outcome {
    let (store, _) = small(context, folder)?;
    let hcs = context.program.path().to_owned();
    let bytes = || -> Result<f64, String> {
        let said = output(&line(&["du", "-s", "--block-size=1", &store]))?;
        let number = said.split_whitespace().next().unwrap_or_default();
        number.parse().map_err(|e| format!("du: {said:?}: {e}"))
    };
    let before = bytes()?;
    let ids: Vec<String> = (0..CONTAINERS)
        .map(|number| format!("bench-image-{number}"))
        .collect();
    let made = RefCell::new(Vec::new());
    let more = ids.iter().try_for_each(|id| {
        run(&line(&[
            &hcs,
            "run",
            "-d",
            "--id",
            id,
            "--store",
            &store,
            image::NAME,
            "/bin/sleep",
            "100000",
        ]))?;
        made.borrow_mut().push(id.clone());
        Ok::<_, String>(())
    });
    let after = bytes();
    for id in made.into_inner() {
        run(&line(&[&hcs, "terminate", &id]))?;
    }
    more?;
    context.report.add(SHARED, (after? - before) / 1024.0, "kB");
    Ok(())
}
