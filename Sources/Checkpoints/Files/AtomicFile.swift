import Torch

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// Writes a file that others see either as it was or complete, whatever happens on the way.
///
/// `body` writes into a temporary file in the same folder (`.NAME.XXXX.tmp`), which takes the file's
/// place by renaming once it is on the disk. A file that is replaced keeps its permissions; a new one
/// gets the process's usual ones. A symbolic link stays, and its target is replaced. Devices and pipes
/// (`/dev/stdout`) cannot be replaced: they are written directly.
///
/// - Throws: `MingleError` when the folder is missing or not writable or the disk is full, or what
///   `body` throws. The temporary file is then gone and the old file untouched.
package func writeAtomically(
  to path: String, _ body: (FileWriter) throws -> Void
) throws {
  let target = resolvingLink(path)
  switch try PathStatus(of: target) {
  case .file, .missing: break
  case .folder:
    throw MingleError(
      .usage, "a folder where a file is to be written", in: path, next: "name a file inside it")
  case .special:
    try writeThrough(to: target, body)
    return
  }

  let folder = parentFolder(of: target)
  guard try PathStatus(of: folder) == .folder else {
    throw MingleError(
      .usage, "the folder to write to does not exist", in: folder,
      next: "create it first, or check the path's spelling")
  }
  let (temporary, descriptor) = try openTemporary(beside: target, in: folder, for: path)
  var isOpen = true
  do {
    let writer = FileWriter(descriptor: descriptor, path: path)
    try body(writer)
    try writer.flush()
    keepPermissions(of: target, on: descriptor)
    try synchronize(descriptor, path: path)
    isOpen = false
    // Network folders may tell only now that the disk is full.
    guard close(descriptor) == 0 || errno == EINTR else {
      throw MingleError(systemCall: "cannot be written", path: path)
    }
    guard rename(temporary, target) == 0 else {
      throw MingleError(systemCall: "cannot be replaced", path: path)
    }
  } catch {
    if isOpen { close(descriptor) }
    unlink(temporary)
    throw error
  }
  try synchronize(path: folder)
}

/// Writes a small file as a whole; see ``writeAtomically(to:_:)``.
package func writeAtomically(_ text: String, to path: String) throws {
  try writeAtomically(to: path) { try $0.write(text) }
}

/// Whether a file called `name` is what a killed ``writeAtomically(to:_:)`` of the file `target`, in
/// the same folder, left.
package func isLeftover(_ name: String, of target: String) -> Bool {
  let start = ".\(target)."
  let end = ".tmp"
  guard name.hasPrefix(start), name.hasSuffix(end), name.count > start.count + end.count else {
    return false
  }
  return name.dropFirst(start.count).dropLast(end.count).allSatisfy { $0.isLetter || $0.isNumber }
}

/// Deletes what killed writers left of the files called `targets` in `folder`. Nobody else may be
/// writing them.
package func removeLeftovers(of targets: [String], in folder: String) throws {
  for name in try entries(of: folder) where targets.contains(where: { isLeftover(name, of: $0) }) {
    try removeTree("\(folder)/\(name)")
  }
}

/// The file that a symbolic link leads to; a path that is no link, or leads nowhere, stays.
private func resolvingLink(_ path: String) -> String {
  var status = stat()
  guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK,
    let resolved = realpath(path, nil)
  else { return path }
  defer { free(resolved) }
  return String(cString: resolved)
}

/// Creates a new, empty file whose name nobody else uses. `path` names it in messages.
private func openTemporary(
  beside target: String, in folder: String, for path: String
) throws -> (path: String, descriptor: CInt) {
  let name = target.split(separator: "/").last ?? "file"
  while true {
    // Names have at most 255 bytes: a long one is cut.
    let stem = String(decoding: name.utf8.prefix(200), as: UTF8.self)
    let suffix = String(UInt32.random(in: .min ... .max), radix: 36)
    let temporary = "\(folder)/.\(stem).\(suffix).tmp"
    // The process's umask takes from 0666 what the user does not want.
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
    if descriptor >= 0 { return (temporary, descriptor) }
    guard errno == EEXIST || errno == EINTR else {
      throw MingleError(systemCall: "cannot be written", path: path)
    }
  }
}

/// Gives the new file the permissions of the one that it replaces, if there is one and it may.
private func keepPermissions(of target: String, on descriptor: CInt) {
  var status = stat()
  guard stat(target, &status) == 0 else { return }
  // Some file systems know no permissions: the new file is as good without.
  _ = fchmod(descriptor, status.st_mode & 0o777)
}

private func writeThrough(to path: String, _ body: (FileWriter) throws -> Void) throws {
  let descriptor = open(path, O_WRONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw MingleError(systemCall: "cannot be written", path: path) }
  defer { close(descriptor) }
  let writer = FileWriter(descriptor: descriptor, path: path)
  try body(writer)
  try writer.flush()
}
