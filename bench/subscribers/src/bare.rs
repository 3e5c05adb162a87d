//! The bare loop: accepts sockets, and writes what it is given to each.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What the process does: tells its address, accepts, and then writes frames as they come, each after its length.
pub fn run(sockets: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    let accept = || {
        let (stream, _) = listener.accept().expect("a client");
        stream.set_nodelay(true).expect("a socket");
        stream
    };
    let mut clients: Vec<TcpStream> = (0..sockets).map(|_| accept()).collect();
    println!("accepted");
    let mut input = std::io::stdin().lock();
    let mut length = [0; 4];
    while input.read_exact(&mut length).is_ok() {
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        input.read_exact(&mut frame).expect("a whole frame");
        for client in &mut clients {
            client.write_all(&frame).expect("the client reads");
        }
    }
}

/// That process.
pub struct Loop {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    listen: String,
}

impl Loop {
    pub fn start(program: &Path, sockets: usize) -> Self {
        let mut child = Command::new(program)
            .args(["bare", &sockets.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let (input, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut this = Self { child, input, output: BufReader::new(output), listen: String::new() };
        this.listen = this.line();
        this
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it says something");
        line.trim().to_owned()
    }

    pub fn listen(&self) -> String {
        self.listen.clone()
    }

    pub fn accepted(&mut self) {
        assert_eq!(self.line(), "accepted");
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn write(&mut self, frame: &[u8]) {
        self.input.write_all(&(frame.len() as u32).to_be_bytes()).expect("it reads");
        self.input.write_all(frame).expect("it reads");
        self.input.flush().expect("it reads");
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
