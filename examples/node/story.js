// The main job of Smooth Core from Node, with nothing but the protos of this repository:
//
//   npm ci && SMOOTH_API_KEY=sk_… node story.js [path/to/protos]
//
// It wants a server whose machine "mill-1" does not exist yet. Every step is a plain call; a PLC
// gateway or a dashboard needs no more than this.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const SERVER = process.env.SMOOTH_SERVER || "127.0.0.1:50051";
const PROTOS = process.argv[2] || path.join(__dirname, "../../protos");
const EXAMPLES = path.join(__dirname, "..");
const DEADLINE_MS = 10_000;
const CHUNK_BYTES = 256 * 1024;

const SERVICES = ["machine", "binding", "program", "job", "verification", "change"];
const loaded = protoLoader.loadSync(
  SERVICES.map((noun) => `smoothcore/v1/${noun}_service.proto`),
  // int64 as text, since a double does not hold it; enums by name.
  { includeDirs: [PROTOS], longs: String, enums: String, defaults: true, oneofs: true },
);
const api = grpc.loadPackageDefinition(loaded).smoothcore.v1;

// Types that travel inside google.protobuf.Any: details of errors, resources in the change feed.
const types = new protobuf.Root();
types.resolvePath = (_, target) => path.join(PROTOS, target);
types.loadSync([
  "google/rpc/status.proto",
  "google/rpc/error_details.proto",
  "smoothcore/v1/tool_table_entry.proto",
]);

const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${process.env.SMOOTH_API_KEY}`);

/** A client of a service; `grpc.credentials.createSsl()` for a server with TLS. */
const connect = (service) => new api[service](SERVER, grpc.credentials.createInsecure());

/** A unary call as a promise. It always has a deadline: silence is an error, too. */
function call(client, method, request) {
  const options = { deadline: Date.now() + DEADLINE_MS };
  return new Promise((resolve, reject) => {
    client[method](request, metadata, options, (error, reply) =>
      error ? reject(error) : resolve(reply),
    );
  });
}

/** Unpacks a google.protobuf.Any whose type is known here. */
function unpack(any) {
  const type = types.lookupType((any.typeUrl || any.type_url).split("/").pop());
  return type.toObject(type.decode(any.value), { longs: String, enums: String, defaults: true });
}

/** The google.rpc.ErrorInfo of an error: every error of this API has one. */
function errorInfo(error) {
  const [packed] = error.metadata.get("grpc-status-details-bin");
  const status = types.lookupType("google.rpc.Status").decode(packed);
  return unpack(status.details.find((any) => any.type_url.endsWith("/google.rpc.ErrorInfo")));
}

function push(machines, content) {
  return call(machines, "PushToolTable", {
    parent: "machines/mill-1",
    mode: "PUSH_MODE_SNAPSHOT",
    file: { format: "TOOL_TABLE_FORMAT_LINUXCNC_TBL", content: Buffer.from(content) },
  });
}

/** Uploads a program: its info first, then its bytes in pieces. */
function upload(programs, file) {
  const content = fs.readFileSync(file);
  return new Promise((resolve, reject) => {
    const stream = programs.UploadProgram(metadata, (error, program) =>
      error ? reject(error) : resolve(program),
    );
    stream.write({ info: { displayName: path.basename(file) } });
    for (let at = 0; at < content.length; at += CHUNK_BYTES) {
      stream.write({ chunk: content.subarray(at, at + CHUNK_BYTES) });
    }
    stream.end();
  });
}

/**
 * Watches the rows of a machine's table: calls `ready` once nothing is missed any more, and gives
 * the first change. A real watcher stores each resumeToken and reconnects with the last one.
 */
function firstChange(changes, ready) {
  const stream = changes.WatchChanges(
    { parent: "machines/mill-1", types: ["RESOURCE_TYPE_TOOL_TABLE_ENTRY"] },
    metadata,
  );
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.once("data", () => ready().catch(reject));
    stream.on("data", (message) => {
      if (!message.changes) return;
      resolve({ ...message.changes.changeSets[0], resumeToken: message.resumeToken });
      stream.cancel();
    });
  });
}

async function main() {
  const machines = connect("MachineService");
  const jobs = connect("JobService");

  const machine = await call(machines, "CreateMachine", {
    machineId: "mill-1",
    machine: {
      lengthUnit: "LENGTH_UNIT_MILLIMETER",
      controller: "CONTROLLER_LINUXCNC",
      registerProfile: { diameterMeaning: "DIAMETER_MEANING_DIAMETER" },
      lengthReference: "LENGTH_REFERENCE_GAUGE_LINE",
    },
  });
  console.log("created", machine.name);

  const table = fs.readFileSync(path.join(EXAMPLES, "tool.tbl"), "utf8");
  const pushed = await push(machines, table);
  console.log("pushed", pushed.outcome, pushed.createdCount, "rows");

  const listed = await call(machines, "ListToolTableEntries", { parent: machine.name });
  const entries = listed.toolTableEntries;
  console.log("listed", entries.map((entry) => `T${entry.toolNumber}`).join(" "));

  const adopted = await call(connect("BindingService"), "BatchBindTools", {
    parent: machine.name,
    requests: entries.map((entry) => ({ parent: machine.name, entry: entry.name, fromRow: {} })),
  });
  console.log("adopted", adopted.bindings.length, "tools");

  const program = await upload(connect("ProgramService"), path.join(EXAMPLES, "bracket.nc"));
  console.log("uploaded", program.displayName);

  const job = await call(jobs, "CreateJob", {
    parent: machine.name,
    jobId: "op10",
    job: { program: program.name },
  });
  await call(jobs, "ActivateJob", { name: job.name });
  console.log("active", job.name);

  const { readiness } = await call(connect("VerificationService"), "GetReadiness", {
    name: `${machine.name}/readiness`,
  });
  console.log("readiness", readiness.state, "-", readiness.report.headline);

  const change = await firstChange(connect("ChangeService"), () =>
    push(machines, table.replace("D+5.0 ", "D+4.9 ")),
  );
  const entry = unpack(change.changes[0].after);
  console.log("watched", entry.name, "D", entry.registers.diameterGeometry.text, change.method);

  try {
    await call(machines, "GetMachine", { name: "machines/mill-9" });
  } catch (error) {
    console.log("refused", grpc.status[error.code], errorInfo(error).reason, "-", error.details);
  }
}

main().catch((error) => {
  console.error(error.details || error);
  process.exitCode = 1;
});
