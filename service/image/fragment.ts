import type { Digest } from '../blobs/blobs.ts'

/** One file or link of a fragment. Folders are not listed: a layer has the parents of what it holds. */
export interface FragmentEntry {
  /** Below `/`, without a leading slash, `/` between parts: `opt/env/lib/python3.11/site-packages/six.py`. */
  path: string
  mode: number
  /** Bytes, uncompressed. */
  size: number
  /** Hex sha256 of the content; of the target where it is a link. */
  sha256: string
  /** The target, where this is a symbolic link. */
  link?: string
  /** Where its gzip members (header, payload, padding) begin and end in the fragment's bytes. */
  start: number
  end: number
}

/**
 * The gzip members of one artifact's files, or of its byte code: a layer as it is, with the folders first and a tar end.
 * Kept once as a blob; this is its manifest. Any run of whole entries, with the members of their parent folders and a
 * tar end, is a layer too.
 */
export interface Fragment {
  digest: Digest
  /** Bytes, compressed. */
  size: number
  /** Bytes of tar that it inflates to. */
  tarSize: number
  /** Digest of that tar. */
  diffId: Digest
  /** In the order of their bytes. */
  entries: FragmentEntry[]
}

/** A fragment that knows where its manifest is, so that deltas can still be planned once its artifact is gone. */
export interface StoredFragment extends Fragment {
  /** Blob: the Fragment as JSON, without this field. */
  manifest: Digest
}

/** An artifact as the planner sees it. */
export interface PlannedArtifact {
  /** Normalised (PEP 503). */
  name: string
  version: string
  files: StoredFragment
  /** Absent where the artifact has no Python source. */
  bytecode?: StoredFragment
  /** Bytes of the file that it is installed from, as the lock says it; 0 where it doesn't. */
  weight: number
}
