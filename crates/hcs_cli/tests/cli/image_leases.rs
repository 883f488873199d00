//! Images that containers use: no process removes them from their store, whatever was killed.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{
    common::{Ended, ended, ready, signal, unique},
    image_runs::Shop,
    service::{Place, kill_services},
};

/// A service of a test's own, beside a store.
struct Both {
    shop: Shop,
    place: Place,
}

impl Both {
    fn new() -> Self {
        let both = Self {
            shop: Shop::new(),
            place: Place::new(1),
        };
        // The only image, called `tools`, says more than nothing.
        let execution = json!({"Labels": {"a": "b"}, "Env": ["A=image"], "WorkingDir": "/srv/app"});
        both.shop.configured("app", &execution).fine();
        for line in [
            "remove --store store tools",
            "tag --store store app tools",
            "remove --store store app",
        ] {
            both.hcs(&format!("image {line}")).fine();
        }
        both
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.place.hcs(words);
        command.current_dir(self.shop.path());
        command
    }

    fn hcs(&self, words: &str) -> Ended {
        ended(&mut self.command(&words.split_whitespace().collect::<Vec<_>>()))
    }

    fn layers(&self) -> usize {
        fs::read_dir(self.shop.store().join("layers"))
            .unwrap()
            .count()
    }

    /// The image stays, by a name and without one.
    fn assert_kept(&self, id: &str) {
        let removed = self.hcs("image remove --store store tools");
        assert_eq!(removed.code, Some(125), "{removed:?}");
        assert!(
            removed.err.contains(&format!("containers use it: {id};")),
            "{removed:?}"
        );
        self.shop
            .script("mkdir -p none && tar -C none -c . | $HCS image import --store store - tools");
        assert_eq!(
            self.hcs("image prune --store store").fine(),
            "0 images, 0 layers\n"
        );
        assert_eq!(self.layers(), 2);
    }

    /// Nothing keeps it any more.
    fn assert_gone(&self) {
        assert_eq!(
            self.hcs("image prune --store store").fine(),
            "1 images, 1 layers\n"
        );
        assert_eq!(self.layers(), 1);
        let leases = fs::read_dir(self.shop.store().join("leases")).unwrap();
        assert_eq!(leases.count(), 0);
    }
}

#[test]
fn the_image_of_a_container_that_was_never_started_stays() {
    let both = Both::new();
    both.hcs("create --image tools --store store --id box")
        .fine();
    let list = both.hcs("list").fine();
    let line = "Container  Created  box  hcs    tools:latest  -";
    assert!(list.contains(line), "{list}");
    let list: Value = serde_json::from_str(&both.hcs("list --json").fine()).unwrap();
    assert_eq!(list[0]["Image"], "tools:latest");
    let about: Value = serde_json::from_str(&both.hcs("inspect box").fine()).unwrap();
    assert_eq!(about["Image"], "tools:latest");
    let image = &about["Document"]["Container"]["Storage"]["Image"];
    assert_eq!(
        (&image["Name"], &image["Labels"]),
        (&json!("tools:latest"), &json!({"a": "b"}))
    );
    assert!(
        image["Digest"].as_str().unwrap().starts_with("sha256:"),
        "{image}"
    );
    both.assert_kept("box");
    kill_services(&both.place);
    assert_eq!(
        both.hcs("image prune --store store").fine(),
        "0 images, 0 layers\n"
    );
    // The next service knows it, too.
    let list = both.hcs("list").fine();
    assert!(list.contains(line), "{list}");
    both.hcs("terminate box").fine();
    both.assert_gone();
}

#[test]
fn the_image_of_a_container_that_runs_stays_without_service_and_client() {
    let both = Both::new();
    let words = [
        "run",
        "-d",
        "--store",
        "store",
        "--id",
        "box",
        "tools",
        "sh",
        "-c",
        "cat /srv/app/file; sleep 1000",
    ];
    ended(&mut both.command(&words)).fine();
    kill_services(&both.place);
    both.assert_kept("box");
    // The next service knows what the image says, too.
    let read = ["exec", "box", "--", "sh", "-c", "cat file; echo $A"];
    assert_eq!(ended(&mut both.command(&read)).fine(), "image\nimage\n");
    both.hcs("terminate box").fine();
    both.assert_gone();
}

#[test]
fn the_lease_of_a_run_ends_with_it_though_its_client_was_killed() {
    let both = Both::new();
    let words = [
        "run",
        "--store",
        "store",
        "--id",
        "box",
        "tools",
        "sh",
        "-c",
        "echo ready; sleep 1000",
    ];
    let mut run = ready(&mut both.command(&words));
    both.assert_kept("box");
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    let waited = both.hcs("wait box");
    // It may be gone already.
    assert!(matches!(waited.code, Some(0 | 125 | 137)), "{waited:?}");
    both.hcs("service stop").fine();
    both.assert_gone();
}

#[test]
fn layers_that_are_deleted_below_a_container_harm_nothing_else() {
    let shop = Shop::new();
    let id = unique("deleted");
    let words = [
        "run",
        "-d",
        "--store",
        "store",
        "--id",
        &id,
        "tools",
        "sh",
        "-c",
        "sleep 1000",
    ];
    shop.line(&words).fine();
    shop.script("rm -rf store/layers/*");
    // What it sees is up to overlayfs; the service goes on, and the next container has all again.
    let _anything = shop.hcs(&format!("exec {id} -- cat /srv/app/file"));
    let again = shop.hcs("run --store store tools cat /srv/app/file");
    assert_eq!(again.fine(), "image\n");
    shop.hcs(&format!("terminate {id}")).fine();
}

#[test]
fn a_document_cannot_lease_what_is_not_there() {
    let shop = Shop::new();
    let about: Value =
        serde_json::from_str(&shop.hcs("image inspect --store store tools").fine()).unwrap();
    let layer = about["Layers"][0]["Path"].as_str().unwrap();
    let digest = about["Manifest"].as_str().unwrap();
    let store = shop.store();
    let open = shop.path().join("open");
    fs::create_dir(&open).unwrap();
    shop.script("cp -r store/. open/ && chmod 777 open");
    let refused = |store: &str, digest: &str, layers: &[&str]| {
        let layers: Vec<Value> = layers.iter().map(|path| json!({"Path": path})).collect();
        let image = json!({"Store": store, "Digest": digest});
        let document = json!({"Container": {"Storage": {"Layers": layers, "Image": image}}});
        fs::write(shop.path().join("box.json"), document.to_string()).unwrap();
        let id = unique("leased");
        let said = shop.hcs(&format!("create --document box.json --id {id}"));
        if said.code == Some(0) {
            shop.hcs(&format!("terminate {id}")).fine();
        }
        said.err
    };
    let store = store.to_str().unwrap();
    assert_eq!(refused(store, digest, &[layer]), "");
    for (store, digest, layers, text) in [
        (store, digest, &["/usr"][..], "none of the layers"),
        (store, "sha256:00", &[layer], "it is no digest"),
        (store, "", &[layer], "/Container/Storage/Image/Digest"),
        ("store", digest, &[layer], "is not absolute"),
        ("/usr", digest, &[layer], "it is missing"),
        (
            open.to_str().unwrap(),
            digest,
            &[layer],
            "must not be writable by others",
        ),
    ] {
        let said = refused(store, digest, layers);
        assert!(said.contains(text), "{text}: {said}");
        assert!(said.contains("/Container/Storage/Image"), "{said}");
    }
    let leases = fs::read_dir(shop.store().join("leases")).unwrap();
    let names: Vec<_> = leases.map(|lease| lease.unwrap().file_name()).collect();
    assert_eq!(names, ["spare"]);
}

/// An image is taken its name from, pruned and imported again, while containers are made of whatever has the name.
#[test]
fn containers_and_prunes_do_not_meet() {
    let shop = Shop::new();
    let import = |number: u32| {
        shop.script(&format!(
            "echo {number} > root/srv/app/mark && tar -C root -c . | $HCS image import --store store - tools > /dev/null"
        ))
    };
    import(0);
    let done = AtomicBool::new(false);
    let runs = || {
        let mut ran = 0;
        while ran < 12 {
            let said = shop.hcs("run --store store tools cat /srv/app/file /srv/app/mark");
            match said.code {
                Some(0) => ran += 1,
                _ => assert!(said.err.contains("there is no image"), "{said:?}"),
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Relaxed) {
                number += 1;
                import(number % 3);
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let said = shop.hcs("image prune --store store");
                let in_use = said.err.contains("another process uses it: ");
                assert!(said.code == Some(0) || in_use, "{said:?}");
                let said = shop.hcs("image remove --store store tools");
                let known = ["another process", "containers use it", "no such image"];
                let refused = known.iter().any(|text| said.err.contains(text));
                assert!(said.code == Some(0) || refused, "{said:?}");
            }
        });
        let runs = scope.spawn(runs);
        let ran = runs.join();
        done.store(true, Ordering::Relaxed);
        ran.unwrap();
    });
}
