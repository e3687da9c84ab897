//! Addresses: a web server that gives parts of a film, breaks off, and comes again.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use systems::input::{InputOrder, InputStage};

use crate::support::{World, number, until, video, video_with};

/// A web server of one film on a thread of its own. It breaks off after `most` bytes of each answer.
struct Web {
    port: u16,
    most: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Web {
    fn start(film: Vec<u8>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (most, asked) = (
            Arc::new(AtomicUsize::new(usize::MAX)),
            Arc::<AtomicUsize>::default(),
        );
        let (limit, count) = (Arc::clone(&most), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Relaxed);
                let (film, limit) = (film.clone(), Arc::clone(&limit));
                std::thread::spawn(move || answer(stream, &film, &limit));
            }
        });
        Self { port, most, asked }
    }
}

fn answer(mut stream: TcpStream, film: &[u8], most: &AtomicUsize) -> Option<()> {
    let mut from = None;
    for line in BufReader::new(stream.try_clone().ok()?).lines() {
        let line = line.ok()?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.split('-').next()?.parse::<usize>().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    let start = from.unwrap_or(0).min(film.len());
    let status = if from.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: video/mp4\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\nConnection: close\r\n\r\n",
        film.len() - start,
        film.len().max(1) - 1,
        film.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    for part in film[start..].chunks(4096) {
        if most.load(Relaxed) < part.len() {
            return None;
        }
        let left = most.load(Relaxed);
        most.store(left - part.len().min(left), Relaxed);
        stream.write_all(part).ok()?;
    }
    Some(())
}

const NUMBERED: &str = "-f lavfi -i color=black:s=640x180:r=30,format=yuv420p,geq=lum='if(lt(X,320),16+N*3,random(1)*255)':cb=128:cr=128 -t 2 -c:v libx264 -qp 16 -preset ultrafast -bf 0 -g 15";

#[test]
fn a_film_from_the_web_goes_on_where_it_broke_off() {
    let world = World::new();
    let path = world.ffmpeg("web.mp4", &format!("{NUMBERED} -movflags +faststart"));
    let film = fs::read(path).expect("a file");
    let length = film.len();
    let web = Web::start(film);
    let near = world.open(
        "web",
        video_with(
            &format!("http://127.0.0.1:{}/web.mp4?token=secret1", web.port),
            |source| source.loops = true,
        ),
    );
    let mut index = 0;
    let mut check = |count: usize| {
        for _ in 0..count {
            let picture = near.picture();
            assert!(
                (picture.pts_us - index * 1_000_000 / 30).abs() <= 700,
                "{index}: {}",
                picture.pts_us
            );
            assert!(
                (number(&picture.picture) - index % 60).abs() <= 1,
                "{index}: {}",
                number(&picture.picture)
            );
            index += 1;
        }
    };
    check(70);
    for _ in 0..3 {
        // It gives a little more, and then only refuses.
        web.most.store(length / 3, Relaxed);
        until("it is lost", || {
            if let Ok(picture) = near.pictures.try_recv() {
                assert!(
                    (picture.pts_us - index * 1_000_000 / 30).abs() <= 700,
                    "{index}"
                );
                index += 1;
            }
            (near.state.stage() == InputStage::Reconnecting).then_some(())
        });
        let lost = world.inputs.get("web").expect("a view");
        assert!(lost.bitrate_kbps.is_none() && lost.error.is_some());
        web.most.store(usize::MAX, Relaxed);
        let mut check = |count: usize| {
            for _ in 0..count {
                let picture = near.picture();
                assert!(
                    (picture.pts_us - index * 1_000_000 / 30).abs() <= 700,
                    "{index}: {}",
                    picture.pts_us
                );
                assert!(
                    (number(&picture.picture) - index % 60).abs() <= 1,
                    "{index}"
                );
                index += 1;
            }
        };
        check(40);
    }
    assert!(web.asked.load(Relaxed) > 3);
    let view = world.inputs.get("web").expect("a view");
    // However often it was tried.
    assert_eq!(view.reconnects, 3, "{view:?}");
    assert!(!format!("{view:?}").contains("secret1"), "{view:?}");
    assert!(!near.state.is_live());
}

#[test]
fn an_address_without_a_length_is_live() {
    let world = World::new();
    let path = world.ffmpeg("live.ts", &format!("{NUMBERED} -f mpegts"));
    let film = fs::read(path).expect("a file");
    // A server that names no length, and ends when all has been said.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n";
            let _sent = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&film));
        }
    });
    let near = world.open("live", video(&format!("http://127.0.0.1:{port}/live.ts")));
    let mut newest = i64::MIN;
    for _ in 0..40 {
        let picture = near.picture();
        assert!(picture.pts_us > newest);
        newest = picture.pts_us;
    }
    assert!(near.state.is_live());
    world.wait_for("live", |view| view.reconnects >= 2);
    assert_eq!(near.state.duration_us(), 0);
}

#[test]
fn a_place_that_is_asked_for_while_an_address_is_opened_is_where_it_begins() {
    let world = World::new();
    let path = world.ffmpeg("web.mp4", &format!("{NUMBERED} -movflags +faststart"));
    let web = Web::start(fs::read(path).expect("a file"));
    web.most.store(0, Relaxed);
    let near = world.video(&format!("http://127.0.0.1:{}/web.mp4", web.port));
    world.wait_for("film", |view| view.error.is_some());
    near.orders
        .send(InputOrder::Seek {
            to_seconds: 1.0,
            run: 3,
            at_us: 7_000_000,
        })
        .expect("the decoder");
    until("it is heard", || near.orders.is_empty().then_some(()));
    web.most.store(usize::MAX, Relaxed);
    let first = near.picture();
    assert_eq!((first.run, first.pts_us), (3, 7_000_000));
    assert!((number(&first.picture) - 30).abs() <= 1);
    assert_eq!(world.inputs.get("film").expect("a view").reconnects, 0);
}

#[test]
fn an_address_that_falls_silent_ends_with_its_layer() {
    let world = World::new();
    let path = world.ffmpeg("live.ts", &format!("{NUMBERED} -f mpegts"));
    let film = fs::read(path).expect("a file");
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n";
            let _sent = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&film));
            // It stays open, and says nothing more.
            kept.push(stream);
        }
    });
    let address = format!("http://127.0.0.1:{port}/live.ts");
    let patient = |source: &mut components::source::VideoSource| source.reception.timeout = 3600.0;
    let near = world.open("live", video_with(&address, patient));
    // All but the two pictures that a demuxer and a decoder hold until they know what follows: now it waits for more.
    let mut taken = 0;
    until("it waits", || {
        taken += near.pictures.try_iter().count() as u64;
        let dropped = world.inputs.get("live")?.dropped_pictures;
        (taken + dropped >= 58).then_some(())
    });
    drop(near);
    until("the thread has ended", || {
        world.inputs.list().is_empty().then_some(())
    });
    let news = world.news.lock().expect("a lock");
    assert!(news.iter().all(|news| news.error.is_none()), "{news:?}");
}
