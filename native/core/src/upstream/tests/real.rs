//! Sessions against nghttpd (nghttp2). Skipped with a message where it is not installed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::driver::{Driver, config};
use crate::upstream::Scheme;
use crate::upstream::Stat;

/// A running nghttpd; stopped when dropped.
pub struct Nghttpd {
    pub address: SocketAddr,
    child: Child,
    root: PathBuf,
}

impl Nghttpd {
    /// Starts a server over files given by name and content; `arguments` come before the port. None
    /// when there is no nghttpd.
    pub fn start(name: &str, files: &[(&str, &[u8])], arguments: &[&str], tls: &[&str]) -> Option<Nghttpd> {
        let root = std::env::temp_dir().join(format!("lychgate-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        for (file, content) in files {
            std::fs::write(root.join(file), content).unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("nghttpd");
        command.args(arguments).arg("-d").arg(&root).arg(port.to_string());
        command.args(tls.iter().map(|file| root.join(file)));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("skipped: nghttpd is not installed");
            return None;
        };
        let server = Nghttpd { address: SocketAddr::from(([127, 0, 0, 1], port)), child, root };
        for _ in 0..200 {
            if TcpStream::connect(server.address).is_ok() {
                return Some(server);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("nghttpd does not listen");
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

fn patterned(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 % 257) as u8).collect()
}

#[test]
fn files_small_and_large_come_as_they_are() {
    let large = patterned(10 << 20);
    let Some(server) = Nghttpd::start("files", &[("small", b"hello"), ("large", &large)], &["--no-tls"], &[]) else { return };
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, server.address)]);
    let outcome = driver.fetch(0, "/small");
    assert_eq!((outcome.status, &outcome.body[..]), (Some(200), &b"hello"[..]));
    assert!(driver.fetch(0, "/large").body == large);
    assert_eq!(driver.fetch(0, "/absent").status, Some(404));
    let key = driver.request(0, "HEAD", "/large", &[], None);
    let outcome = driver.finish(key);
    assert_eq!((outcome.field("content-length"), outcome.body.len()), (Some("10485760"), 0));
    assert_eq!(driver.upstreams.stats[Stat::ConnectsSucceeded], 1);
}

#[test]
fn many_large_files_at_once_share_the_windows() {
    let large = patterned(1 << 20);
    let Some(server) = Nghttpd::start("many", &[("large", &large)], &["--no-tls"], &[]) else { return };
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, server.address)]);
    let keys: Vec<_> = (0..128).map(|_| driver.get(0, "/large")).collect();
    for key in keys {
        assert!(driver.finish(key).body == large);
    }
    assert!(driver.upstreams.stats[Stat::ConnectsSucceeded] <= 2, "128 exchanges need no third session");
    assert_eq!(driver.upstreams.stats[Stat::StreamsOpen], 0);
}

#[test]
fn uploads_come_back_as_they_went() {
    let Some(server) = Nghttpd::start("echo", &[], &["--no-tls", "--echo-upload"], &[]) else { return };
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, server.address)]);
    let bodies = [patterned(3 << 20), patterned(1), patterned(70_000)];
    let keys = bodies.clone().map(|body| driver.request(0, "POST", "/", &[], Some(body)));
    for (key, body) in keys.into_iter().zip(bodies) {
        assert!(driver.finish(key).body == body);
    }
}

#[test]
fn a_server_that_ends_under_load_leaves_nobody_without_an_answer() {
    let Some(server) = Nghttpd::start("ends", &[("file", &patterned(300_000))], &["--no-tls"], &[]) else { return };
    let mut driver = Driver::new(vec![config(0, Scheme::H2c, server.address)]);
    let keys: Vec<_> = (0..50).map(|_| driver.get(0, "/file")).collect();
    driver.until("a beginning", |driver| driver.sink.outcomes[&1].status.is_some());
    drop(server);
    for key in keys {
        driver.finish(key);
    }
    assert_eq!((driver.upstreams.stats[Stat::StreamsOpen], driver.upstreams.stats[Stat::SessionsOpen]), (0, 0));
}
