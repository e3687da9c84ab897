//! What a peer asks for: to connect, to publish, to play. Everything is refused that is not allowed, with a word that says why and
//! shows no key.
//!
//! Source: Adobe's Real Time Messaging Protocol 1.0, sections 5.4 and 7.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::amf::{self, Value};
use super::chunk::Message;
use super::login;
use super::offered::{MayWatch, NAME_MAX, Offered, may_watch, parameter, split};
use super::playing::Playing;
use super::session::{
    COMMAND_BYTES_MAX, Conversation, End, MEDIA_BYTES_MAX, Publishing, WINDOW_BYTES,
};
use super::table::{Joined, Role};
use crate::control::keys::{AcceptedKey, is_plain};
use crate::control::now_ms;

/// The application that all streams are in.
const APPLICATION: &str = "live";
/// The application to which user and password are given instead of a key.
const LOGIN: &str = "login";
/// The stream that is the program.
pub const PROGRAM: &str = "program";
/// The stream of a connection that commands are about; there is one.
const STREAM: u32 = 1;
/// A wrong key is answered so much later, so that trying many takes long.
const WRONG_KEY_PAUSE: Duration = Duration::from_millis(200);

const BAD_NAME: &str = "NetStream.Publish.BadName";
const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

impl Conversation {
    /// Does what a message asks for.
    pub(super) async fn message(&mut self, message: Message) -> Result<(), End> {
        let number = message
            .body
            .first_chunk::<4>()
            .map(|bytes| u32::from_be_bytes(*bytes));
        match (message.kind, number) {
            (1, Some(size)) => self.reader.set_chunk_size(size)?,
            (2, Some(id)) => self.reader.abort(id),
            (4, _) => {
                // A ping is answered; what answers ours is heard, and that is all.
                if let Some(&[0, 6, a, b, c, d]) = message.body.first_chunk::<6>() {
                    self.user_control(7, u32::from_be_bytes([a, b, c, d]));
                }
            }
            (5, Some(window)) => self.window = u64::from(window).max(64 << 10),
            (8 | 9, _) => return self.media(message),
            (15 | 18, _) => return self.data(message),
            (17 | 20, _) => return self.command(message).await,
            _ => {}
        }
        Ok(())
    }

    fn media(&mut self, message: Message) -> Result<(), End> {
        let Some(publishing) = &self.publishing else {
            // Nobody asked for it.
            return Ok(());
        };
        let Message { time_ms, body, .. } = message;
        let taken = if message.kind == 9 {
            publishing.channel.video(time_ms, body)
        } else {
            publishing.channel.audio(time_ms, body)
        };
        taken.or_else(|error| self.refuse("NetStream.Publish.Failed", &error.to_string()))
    }

    fn data(&mut self, message: Message) -> Result<(), End> {
        let Some(publishing) = &self.publishing else {
            return Ok(());
        };
        if message.body.len() > COMMAND_BYTES_MAX {
            return Ok(());
        }
        let Ok(values) = amf::read(&as_amf0(&message)) else {
            // Metadata is of use, and nothing depends on it.
            return Ok(());
        };
        let mut values = values
            .into_iter()
            .skip_while(|value| value.as_text() == Some("@setDataFrame"));
        if values.next().as_ref().and_then(Value::as_text) == Some("onMetaData")
            && let Some(metadata @ Value::Object(_)) = values.next()
        {
            publishing.channel.metadata(metadata);
        }
        Ok(())
    }

    async fn command(&mut self, message: Message) -> Result<(), End> {
        if message.body.len() > COMMAND_BYTES_MAX {
            return Err(self.broken("a command is too long"));
        }
        let values = match amf::read(&as_amf0(&message)) {
            Ok(values) => values,
            Err(error) => return Err(self.broken(&error.to_string())),
        };
        let name = values.first().and_then(Value::as_text).unwrap_or_default();
        let transaction = values.get(1).and_then(Value::as_number).unwrap_or(0.0);
        let stream = values.get(3).and_then(Value::as_text).unwrap_or_default();
        match name {
            "connect" => {
                let wanted = values.get(2).unwrap_or(&Value::Null);
                self.connect(transaction, wanted).await
            }
            "createStream" => {
                self.reply(&[
                    Value::text("_result"),
                    Value::Number(transaction),
                    Value::Null,
                    Value::Number(f64::from(STREAM)),
                ]);
                Ok(())
            }
            "publish" => self.publish(stream).await,
            "play" => self.play(stream).await,
            "FCUnpublish" | "deleteStream" | "closeStream" => {
                if let Some(mut publishing) = self.publishing.take() {
                    publishing.is_clean = true;
                    drop(publishing);
                    self.session.set_role(Role::Connecting, None);
                    self.status("status", "NetStream.Unpublish.Success", "it has ended");
                }
                self.stop_playing();
                Ok(())
            }
            // What else clients ask for changes nothing here, and they do not wait for an answer.
            _ => Ok(()),
        }
    }

    async fn connect(&mut self, transaction: f64, wanted: &Value) -> Result<(), End> {
        let text = |name| {
            wanted
                .get(name)
                .and_then(Value::as_text)
                .unwrap_or_default()
        };
        let (app, query) = split(text("app"));
        let (_, url_query) = split(text("tcUrl"));
        self.query = if query.is_empty() { url_query } else { query }
            .chars()
            .take(NAME_MAX)
            .collect();
        match app.trim_matches('/') {
            APPLICATION => {}
            LOGIN => self.log_in(transaction, query).await?,
            _ => {
                let description = "only the application `live` is here: rtmp://host:port/live/<key>, or rtmp://host:port/live/program to watch";
                let address = self.session.peer.ip();
                self.rtmp.refuse(address, "another application");
                return Err(self.reject(transaction, description));
            }
        }
        self.control(5, &WINDOW_BYTES.to_be_bytes());
        let mut bandwidth = WINDOW_BYTES.to_be_bytes().to_vec();
        // Dynamic: as the peer likes it best.
        bandwidth.push(2);
        self.control(6, &bandwidth);
        let chunk_size = self.rtmp.0.options.chunk_size;
        self.control(1, &(chunk_size as u32).to_be_bytes());
        self.writer.set_chunk_size(chunk_size);
        let codecs = ["avc1", "hvc1", "vp09", "av01", "mp4a", "Opus"];
        let mut success = info("status", "NetConnection.Connect.Success", "connected");
        if let Value::Object(fields) = &mut success {
            fields.push(("objectEncoding".to_owned(), Value::Number(0.0)));
            let codecs = codecs.iter().map(|codec| Value::text(codec)).collect();
            fields.push(("fourCcList".to_owned(), Value::Array(codecs)));
        }
        self.reply(&[
            Value::text("_result"),
            Value::Number(transaction),
            Value::object([
                ("fmsVer", Value::text("FMS/3,0,1,123")),
                ("capabilities", Value::Number(31.0)),
            ]),
            success,
        ]);
        Ok(())
    }

    /// Takes a user with a password, which is the key of that name, or says how it is given.
    async fn log_in(&mut self, transaction: f64, query: &str) -> Result<(), End> {
        let [user, opaque, challenge, response] =
            ["user", "opaque", "challenge", "response"].map(|name| parameter(query, name));
        let Some(user) = user.filter(|user| is_plain(user)) else {
            return Err(self.reject(transaction, login::NEEDS_USER));
        };
        let (Some(opaque), Some(challenge), Some(response)) = (opaque, challenge, response) else {
            let description = self.rtmp.0.login.challenge(&user, now_ms());
            return Err(self.reject(transaction, &description));
        };
        let address = self.session.peer.ip();
        if let Some(taken) = self.rtmp.0.wrong.try_one(address).await {
            let rtmp = self.rtmp.clone();
            let accepted = tokio::task::spawn_blocking(move || {
                let answer = login::Answer {
                    user: &user,
                    opaque: &opaque,
                    challenge: &challenge,
                    response: &response,
                };
                let keys = &rtmp.0.keys;
                let key = keys.reveal(&keys.named(&user)?.id).ok()?;
                let is_right = rtmp.0.login.is_right(&answer, &key, now_ms());
                is_right.then(|| keys.accept(&key)).flatten()
            });
            self.login = accepted.await.ok().flatten();
            if self.login.is_some() {
                taken.was_right();
                return Ok(());
            }
            drop(taken);
            tokio::time::sleep(WRONG_KEY_PAUSE).await;
        }
        self.rtmp.refuse(address, "a wrong user or password");
        Err(self.reject(transaction, login::FAILED))
    }

    /// Refuses to connect.
    fn reject(&mut self, transaction: f64, description: &str) -> End {
        self.reply(&[
            Value::text("_error"),
            Value::Number(transaction),
            Value::Null,
            info("error", "NetConnection.Connect.Rejected", description),
        ]);
        End::Refused("it may not connect".to_owned())
    }

    /// The key that is offered; `None` when it is not known.
    async fn accepted(&mut self, wanted: &str) -> Option<AcceptedKey> {
        if self.login.is_some() {
            return self.login.take();
        }
        let offered = Offered::of(wanted, &self.query);
        let keys = self.rtmp.0.keys.clone();
        // Every key is compared.
        let accepted = tokio::task::spawn_blocking(move || {
            let keys_of = offered.keys.iter();
            let accepted = keys_of.filter_map(|key| keys.accept(key)).next()?;
            let is_own = |user: &String| *user == accepted.id || *user == accepted.name;
            offered.user.as_ref().is_none_or(is_own).then_some(accepted)
        });
        accepted.await.ok().flatten()
    }

    async fn publish(&mut self, wanted: &str) -> Result<(), End> {
        if self.publishing.is_some() || self.playing.is_some() {
            return self.refuse(BAD_NAME, "this connection has a stream already");
        }
        let address = self.session.peer.ip();
        let Some(taken) = self.rtmp.0.wrong.try_one(address).await else {
            return self.refuse(BAD_NAME, "too many wrong keys; try again in some seconds");
        };
        let Some(key) = self.accepted(wanted).await else {
            drop(taken);
            tokio::time::sleep(WRONG_KEY_PAUSE).await;
            return self.refuse(BAD_NAME, "this stream key is not known");
        };
        taken.was_right();
        let options = &self.rtmp.0.options;
        let now_ms = self.rtmp.now_ms();
        let joined = self
            .rtmp
            .0
            .table
            .join(&key, &self.session, now_ms, options.grace);
        let (channel, is_resumed) = match joined {
            Joined::New(channel) => (channel, false),
            Joined::Resumed(channel) => (channel, true),
            Joined::Busy => {
                return self.refuse(BAD_NAME, "somebody publishes with this key already");
            }
        };
        self.rtmp
            .0
            .counts
            .resumed
            .fetch_add(u64::from(is_resumed), Relaxed);
        self.session.set_role(Role::Publisher, Some(key.id.clone()));
        self.publishing = Some(Publishing::new(&self.rtmp, &self.session, channel));
        self.reader.set_message_max(MEDIA_BYTES_MAX);
        self.user_control(0, STREAM);
        self.status("status", "NetStream.Publish.Start", "the stream is taken");
        let data = json!({
            "key": key.id, "session": self.session.id.to_string(), "address": address.to_string(), "resumed": is_resumed,
        });
        self.rtmp.tell("rtmp:publish", &key.id, data);
        let keys = self.rtmp.0.keys.clone();
        // All keys are written anew, which is a while for a thousand.
        drop(tokio::task::spawn_blocking(move || keys.note_used(&key.id)));
        Ok(())
    }

    async fn play(&mut self, wanted: &str) -> Result<(), End> {
        if self.publishing.is_some() || self.playing.is_some() {
            return self.refuse(
                "NetStream.Play.Failed",
                "this connection has a stream already",
            );
        }
        let (name, query) = split(wanted);
        let is_cached = self.rtmp.0.options.gop_cache;
        let (feed, stream) = if name == PROGRAM {
            let program = self.rtmp.0.program.clone();
            if !program.feed().is_live() {
                return self.refuse(NOT_FOUND, "the program is off air");
            }
            if let Some(reason) = program.refusal() {
                return self.refuse("NetStream.Play.Failed", &reason);
            }
            (program.feed().clone(), PROGRAM.to_owned())
        } else {
            self.admit(query).await?;
            let Some(channel) = self.rtmp.0.table.channel(name) else {
                return self.refuse(NOT_FOUND, "nobody publishes a stream of this name");
            };
            (channel.feed.clone(), channel.key.id.clone())
        };
        let place = feed.join(is_cached);
        if stream == PROGRAM && place.waits() {
            self.rtmp.want_keyframe();
        }
        self.session.set_role(Role::Player, Some(stream.clone()));
        self.user_control(0, STREAM);
        self.status("status", "NetStream.Play.Reset", "it begins anew");
        self.status("status", "NetStream.Play.Start", "it begins");
        self.write(
            18,
            STREAM,
            amf::write(&[
                Value::text("|RtmpSampleAccess"),
                Value::Boolean(true),
                Value::Boolean(true),
            ]),
        );
        self.playing = Some(Playing::new(place));
        let data = json!({
            "id": self.session.id.to_string(), "stream": stream, "address": self.session.peer.ip().to_string(),
        });
        self.rtmp.tell_seldom("rtmp:play", &stream, data);
        Ok(())
    }

    /// Refuses a peer that may not watch what publishers send.
    async fn admit(&mut self, query: &str) -> Result<(), End> {
        let offered = parameter(query, "token").or_else(|| parameter(&self.query, "token"));
        let server = &self.rtmp.0;
        let answer = may_watch(
            self.session.peer.ip(),
            server.token.as_deref(),
            offered.as_deref(),
            &server.wrong,
            Instant::now(),
        );
        let reason = match answer {
            MayWatch::Yes => return Ok(()),
            MayWatch::No => "from another machine a token is needed: ?token=<API_TOKEN>",
            MayWatch::Wrong => {
                tokio::time::sleep(WRONG_KEY_PAUSE).await;
                "this token is wrong"
            }
            MayWatch::TooMany => "too many wrong tokens; try again in some seconds",
        };
        self.refuse("NetStream.Play.Failed", reason)
    }

    /// Says no, and ends the connection.
    fn refuse(&mut self, code: &str, reason: &str) -> Result<(), End> {
        self.status("error", code, reason);
        let address = self.session.peer.ip();
        self.rtmp.refuse(address, reason);
        Err(End::Refused(reason.to_owned()))
    }

    fn broken(&mut self, reason: &str) -> End {
        let address = self.session.peer.ip();
        self.rtmp.0.counts.errors.fetch_add(1, Relaxed);
        self.rtmp.refuse(address, "what it sends is no RTMP");
        End::Refused(reason.to_owned())
    }

    /// Tells how the stream stands.
    pub(super) fn status(&mut self, level: &str, code: &str, description: &str) {
        let values = [
            Value::text("onStatus"),
            Value::Number(0.0),
            Value::Null,
            info(level, code, description),
        ];
        self.write(20, STREAM, amf::write(&values));
    }

    fn reply(&mut self, values: &[Value]) {
        self.write(20, 0, amf::write(values));
    }

    fn write(&mut self, kind: u8, stream: u32, body: Bytes) {
        let message = Message {
            kind,
            stream,
            time_ms: 0,
            body,
        };
        self.writer.write(3, &message, &mut self.output);
    }
}

/// A message of AMF3 says with a nought that what follows is AMF0, as all clients do.
fn as_amf0(message: &Message) -> Bytes {
    if matches!(message.kind, 15 | 17) && message.body.first() == Some(&0) {
        message.body.slice(1..)
    } else {
        message.body.clone()
    }
}

fn info(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::text(level)),
        ("code", Value::text(code)),
        ("description", Value::text(description)),
    ])
}
