//! Laws of the frame layer: cuts of the stream do not matter, garbage never panics, print and parse are inverse.

use bytes::{Bytes, BytesMut};
use netdisk_model::{Digest, RemotePath};
use netdisk_protocol::limits::{DATA_LEN_MAX, FRAME_LEN_MAX, MESSAGE_LEN_MAX, STRANGER_FRAME_LEN_MAX};
use netdisk_protocol::{
    Admission, BodyPart, BodyStart, ConnectionError, Fault, FaultCode, Frame, FrameCodec, Greeting, Numbered, Reply,
    Request,
};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

fn user_codec() -> FrameCodec {
    let mut codec = FrameCodec::new();
    codec.admit();
    codec
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        Just(Frame::Heartbeat),
        prop::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| Frame::Data(bytes.into())),
        "\\{[a-z夏\"]{0,200}\\}".prop_map(|text| Frame::Message(text.into())),
    ]
}

fn encode_all(frames: &[Frame]) -> BytesMut {
    let mut stream = BytesMut::new();
    for frame in frames {
        user_codec().encode(frame.clone(), &mut stream).expect("within the limits");
    }
    stream
}

/// Feeds `stream` in pieces that end at `cuts` and gives back the frames cut from it.
fn decode_in_pieces(stream: &[u8], cuts: &[usize]) -> Result<Vec<Frame>, ConnectionError> {
    let mut codec = user_codec();
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    let mut start = 0;
    for end in cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([stream.len()]) {
        if end > start {
            buffer.extend_from_slice(&stream[start..end]);
            start = end;
        }
        while let Some(frame) = codec.decode(&mut buffer)? {
            frames.push(frame);
        }
    }
    while let Some(frame) = codec.decode_eof(&mut buffer)? {
        frames.push(frame);
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn any_split_or_merge_of_the_stream_gives_the_same_frames(
        frames in prop::collection::vec(any_frame(), 0..12),
        mut cuts in prop::collection::vec(any::<usize>(), 0..40),
    ) {
        let stream = encode_all(&frames);
        let len = stream.len() + 1;
        cuts.sort_by_key(|cut| cut % len);
        prop_assert_eq!(decode_in_pieces(&stream, &cuts).expect("good frames"), frames);
    }

    #[test]
    fn byte_by_byte_is_a_split_too(frames in prop::collection::vec(any_frame(), 0..6)) {
        let stream = encode_all(&frames);
        let cuts: Vec<usize> = (0..stream.len()).collect();
        prop_assert_eq!(decode_in_pieces(&stream, &cuts).expect("good frames"), frames);
    }

    #[test]
    fn garbage_never_panics_the_codec(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut codec = FrameCodec::new();
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = codec.decode_eof(&mut buffer) {}
    }

    #[test]
    fn garbage_never_panics_a_parser(text in any::<String>(), hole in 0..24_usize) {
        // Good messages with a piece of garbage inside reach deeper than garbage alone.
        let good = r#"{"id":9,"type":"upload","path":"/a.txt","size":5,"create":false,"body":"wait"}"#;
        let spoilt = format!("{}{text}{}", &good[..hole * 3], &good[hole * 3 + 2..]);
        for text in [text, spoilt] {
            drop(serde_json::from_str::<Greeting>(&text));
            drop(serde_json::from_str::<Numbered<Admission>>(&text));
            drop(serde_json::from_str::<Numbered<Request>>(&text));
            drop(serde_json::from_str::<Numbered<Reply>>(&text));
            drop(serde_json::from_str::<Numbered<BodyPart>>(&text));
        }
    }

    #[test]
    fn a_cut_inside_a_frame_is_told_from_an_end(frame in any_frame(), keep in any::<usize>()) {
        let stream = encode_all(&[frame]);
        let keep = keep % stream.len();
        let outcome = decode_in_pieces(&stream[..keep], &[1, 2, 3, 4]);
        if keep == 0 {
            prop_assert_eq!(outcome.expect("a clean end"), Vec::<Frame>::new());
        } else {
            prop_assert!(matches!(outcome, Err(ConnectionError::Truncated)));
        }
    }

    #[test]
    fn requests_print_and_parse_back(id in 1..1_u64 << 53, request in any_request()) {
        let request = Numbered::new(id, request);
        let json = serde_json::to_string(&request).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Numbered<Request>>(&json).expect("a request"), request);
    }

    #[test]
    fn faults_print_and_parse_back(code in prop::sample::select(FaultCode::ALL), message in any::<String>()) {
        let fault = Numbered::new(3, Reply::Fault(Fault::new(code, message)));
        let json = serde_json::to_string(&fault).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Numbered<Reply>>(&json).expect("a reply"), fault);
    }
}

fn any_path() -> impl Strategy<Value = RemotePath> {
    prop::collection::vec("[a-zA-Z0-9 '\"\\[\\]夏🎉]{1,12}", 0..5)
        .prop_map(|names| format!("/{}", names.join("/")).parse().expect("a path"))
}

fn any_request() -> impl Strategy<Value = Request> {
    let upload = (any_path(), any::<Option<u32>>(), any::<Option<i32>>(), any::<bool>(), any::<bool>()).prop_map(
        |(path, size, modified, create, now)| Request::Upload {
            path: path.into(),
            size: size.map(u64::from),
            modified: modified.map(i64::from),
            create,
            resume: create.then(|| "key".parse().expect("a key")),
            body: if now { BodyStart::Now } else { BodyStart::Wait },
        },
    );
    prop_oneof![
        Just(Request::Whoami),
        Just(Request::Logout),
        (any_path(), any::<bool>()).prop_map(|(path, recursive)| Request::List { path: path.into(), recursive }),
        any_path().prop_map(|path| Request::Stat { path: path.into() }),
        (any_path(), any::<bool>()).prop_map(|(path, parents)| Request::Mkdir { path: path.into(), parents }),
        (any_path(), any::<bool>()).prop_map(|(path, recursive)| Request::Remove { path: path.into(), recursive }),
        (any_path(), any_path(), any::<bool>()).prop_map(|(from, to, replace)| Request::Rename {
            from: from.into(),
            to: to.into(),
            replace
        }),
        (any_path(), any_path(), any::<bool>()).prop_map(|(from, to, replace)| Request::Copy {
            from: from.into(),
            to: to.into(),
            replace
        }),
        (any_path(), any::<u64>(), any::<[u8; 32]>(), any::<bool>()).prop_map(|(path, size, digest, create)| {
            Request::Reuse { path: path.into(), size, digest: digest.into(), modified: Some(-1), create }
        }),
        proptest::collection::vec(any::<u64>(), 0..9).prop_map(|sizes| Request::Known { sizes }),
        Just(Request::Quota),
        (".{0,40}", 0..1_u64 << 53).prop_map(|(upload, part)| Request::Part { upload, part }),
        (".{0,40}", any::<bool>())
            .prop_map(|(upload, whole)| Request::Finish { upload, digest: whole.then(|| Digest::of(b"a")) }),
        Just(Request::Sessions),
        ".{0,40}".prop_map(|session| Request::Revoke { session }),
        (any_path(), 0..1_u64 << 53, any::<Option<u32>>()).prop_map(|(path, offset, part)| Request::Download {
            path: path.into(),
            offset,
            version: None,
            part: part.map(u64::from),
        }),
        upload,
    ]
}

#[test]
fn frame_limits_hold_at_the_edge() {
    // A declared length alone decides: the payload need not come, and nothing is reserved for it.
    let declared = |len: usize, mut codec: FrameCodec| {
        let mut buffer = BytesMut::from(&u32::try_from(len).expect("a length").to_be_bytes()[..]);
        codec.decode(&mut buffer)
    };
    for (limit, codec) in [(STRANGER_FRAME_LEN_MAX, FrameCodec::new as fn() -> FrameCodec), (FRAME_LEN_MAX, user_codec)]
    {
        assert!(matches!(declared(limit - 1, codec()), Ok(None)));
        assert!(matches!(declared(limit, codec()), Ok(None)));
        assert!(matches!(declared(limit + 1, codec()), Err(ConnectionError::FrameTooLarge { limit: l }) if l == limit));
    }
    assert!(matches!(declared(u32::MAX as usize, FrameCodec::new()), Err(ConnectionError::FrameTooLarge { .. })));
}

#[test]
fn message_and_data_limits_hold_at_the_edge() {
    let decode_one = |payload: Vec<u8>| {
        let mut buffer = BytesMut::from(&u32::try_from(payload.len()).expect("a length").to_be_bytes()[..]);
        buffer.extend_from_slice(&payload);
        user_codec().decode(&mut buffer)
    };
    for (len, good) in [(MESSAGE_LEN_MAX - 1, true), (MESSAGE_LEN_MAX, true), (MESSAGE_LEN_MAX + 1, false)] {
        assert_eq!(decode_one([vec![b'{'], vec![b' '; len - 1]].concat()).is_ok(), good, "{len}");
    }
    for len in [0, 1, DATA_LEN_MAX - 1, DATA_LEN_MAX] {
        let frame = decode_one(vec![0; 1 + len]).expect("within the limit");
        assert_eq!(frame, Some(Frame::Data(Bytes::from(vec![0; len]))));
    }
    assert!(decode_one(vec![0; 1 + DATA_LEN_MAX + 1]).is_err());
}

#[test]
fn other_first_bytes_are_no_frame() {
    for byte in (1..=u8::MAX).filter(|byte| *byte != b'{') {
        let mut buffer = BytesMut::from(&[0, 0, 0, 1, byte][..]);
        assert!(matches!(user_codec().decode(&mut buffer), Err(ConnectionError::NotAFrame { byte: b }) if b == byte));
    }
}

#[test]
fn what_may_be_asked_after_login_does_not_parse_before_it() {
    let list = r#"{"id":1,"type":"list","path":"/"}"#;
    assert!(serde_json::from_str::<Numbered<Request>>(list).is_ok());
    assert!(serde_json::from_str::<Numbered<Admission>>(list).is_err());
}

#[test]
fn a_bad_path_costs_the_claim_and_not_the_request() {
    let request = r#"{"id":1,"type":"stat","path":"/../etc/passwd"}"#;
    let request: Numbered<Request> = serde_json::from_str(request).expect("a good request with a bad path");
    let Request::Stat { path } = request.message else { panic!("a stat") };
    assert!(path.check().is_err());
}

#[test]
fn unknown_fields_are_ignored_and_unknown_codes_are_final() {
    let request = r#"{"id":1,"type":"whoami","later":{"than":["version",1]}}"#;
    assert!(serde_json::from_str::<Numbered<Request>>(request).is_ok());
    let fault = r#"{"id":1,"type":"fault","code":"of_version_two","message":"?"}"#;
    let fault: Numbered<Reply> = serde_json::from_str(fault).expect("a fault");
    assert_eq!(fault.message, Reply::Fault(Fault::new(FaultCode::Unknown, "?")));
    assert!(!FaultCode::Unknown.is_worth_a_retry());
}

#[test]
fn deep_json_is_refused() {
    let bomb = format!(r#"{{"id":1,"type":"whoami","x":{}"#, "[".repeat(60_000));
    assert!(serde_json::from_str::<Numbered<Request>>(&bomb).is_err());
}

#[test]
fn digests_of_a_body_end_are_spelt_one_way() {
    let upper = format!(r#"{{"id":1,"type":"end","digest":"{}"}}"#, Digest::of(b"a").to_string().to_uppercase());
    assert!(serde_json::from_str::<Numbered<BodyPart>>(&upper).is_err());
}
