-- A Wireshark dissector for the netdisk protocol without TLS: PROTOCOL.md, section 2.
--
--   wireshark -X lua_script:docs/lab/netdisk.lua docs/lab/captures/plain.pcap
--   tshark    -X lua_script:docs/lab/netdisk.lua -r docs/lab/captures/plain.pcap -Y netdisk
--
-- A segment may carry several frames, and a frame may need several segments: the length decides, and nothing else.

local netdisk = Proto("netdisk", "netdisk")

local HEADER_LEN = 4
-- The longest payload: a zero byte and 262,144 file bytes.
local PAYLOAD_LEN_MAX = 262145

local fields = {
  length = ProtoField.uint32("netdisk.length", "Length", base.DEC),
  kind = ProtoField.string("netdisk.kind", "Kind"),
  message = ProtoField.string("netdisk.message", "Message"),
  type = ProtoField.string("netdisk.type", "Type"),
  id = ProtoField.uint64("netdisk.id", "Id", base.DEC),
  data = ProtoField.bytes("netdisk.data", "File bytes"),
}
netdisk.fields = fields

local too_long = ProtoExpert.new("netdisk.too_long", "A frame over the limit", expert.group.MALFORMED, expert.severity.ERROR)
local no_frame = ProtoExpert.new("netdisk.no_frame", "A payload that is no frame", expert.group.MALFORMED, expert.severity.ERROR)
netdisk.experts = { too_long, no_frame }

local json = Dissector.get("json")

-- One whole frame: its header and its payload. Gives a word for the list of packets.
local function dissect_frame(range, pinfo, tree)
  local length = range(0, HEADER_LEN):uint()
  local branch = tree:add(netdisk, range)
  branch:add(fields.length, range(0, HEADER_LEN))
  if length == 0 then
    branch:add(fields.kind, "heartbeat"):set_generated()
    branch:append_text(", heartbeat")
    return "heartbeat"
  end
  local payload = range(HEADER_LEN, length)
  local first = payload(0, 1):uint()
  if first == 0 then
    branch:add(fields.kind, "data"):set_generated()
    if length > 1 then
      branch:add(fields.data, payload(1))
    end
    branch:append_text(", " .. (length - 1) .. " file bytes")
    return (length - 1) .. " file bytes"
  elseif first == 0x7b then
    local text = payload:string(ENC_UTF_8)
    -- The envelope is flat, so its two fields can be found without a parser; the whole goes to Wireshark's own.
    local kind = text:match('"type"%s*:%s*"([%w_]+)"') or "?"
    local id = text:match('"id"%s*:%s*(%d+)')
    branch:add(fields.kind, "message"):set_generated()
    branch:add(fields.message, payload, text)
    branch:add(fields.type, payload, kind)
    if id then
      branch:add(fields.id, payload, UInt64(tonumber(id) % 4294967296, math.floor(tonumber(id) / 4294967296)))
    end
    json:call(payload:tvb(), pinfo, branch)
    branch:append_text(", " .. kind)
    return kind .. (id and (" " .. id) or "")
  end
  branch:add_proto_expert_info(no_frame)
  return "no frame"
end

function netdisk.dissector(buffer, pinfo, tree)
  local words, offset = {}, 0
  while offset < buffer:len() do
    local left = buffer:len() - offset
    -- A header can be cut like anything else.
    if left < HEADER_LEN then
      pinfo.desegment_offset, pinfo.desegment_len = offset, DESEGMENT_ONE_MORE_SEGMENT
      break
    end
    local length = buffer(offset, HEADER_LEN):uint()
    if length > PAYLOAD_LEN_MAX then
      tree:add(netdisk, buffer(offset)):add_proto_expert_info(too_long)
      table.insert(words, "no frame")
      offset = buffer:len()
      break
    end
    if left < HEADER_LEN + length then
      pinfo.desegment_offset, pinfo.desegment_len = offset, HEADER_LEN + length - left
      break
    end
    table.insert(words, dissect_frame(buffer(offset, HEADER_LEN + length), pinfo, tree))
    offset = offset + HEADER_LEN + length
  end
  if #words > 0 then
    pinfo.cols.protocol = "netdisk"
    -- Wireshark's JSON dissector writes into these columns, too: ours is the last word.
    pinfo.cols.info = table.concat(words, ", ")
  end
  return buffer:len()
end

DissectorTable.get("tcp.port"):add(8001, netdisk)
