import type { Database } from '../../database/database.ts'
import { findLayer, saveLayer } from '../../database/known.ts'
import type { LayerIndex } from '../../image/layers.ts'
import { LAYER_TYPE } from '../../image/media-types.ts'

/** Remembers in the database which layers were written. */
export function layerIndex(database: Database): LayerIndex {
  return {
    find: async (key) => {
      const row = await findLayer(database.state, key)
      return (
        row && { digest: row.digest, diffId: row.diff_id, size: row.size, mediaType: LAYER_TYPE, tarSize: row.tar_size }
      )
    },
    save: async (key, { digest, diffId, size, tarSize }) => {
      await database.write(({ db }) => saveLayer(db, { key, digest, diff_id: diffId, size, tar_size: tarSize }))
    },
  }
}
