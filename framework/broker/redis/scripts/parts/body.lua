-- The body of a stored message, and of the fields of a stream entry.
local function body_of(text)
  if text:sub(1, 1) == '\n' then return text:sub(2) end
  local _, last = text:find('\n\n', 1, true)
  if last then return text:sub(last + 1) end
  return text
end
local function body_of_entry(fields)
  local body = ''
  for i = 1, #fields, 2 do
    if fields[i] == 'm' then return body_of(fields[i + 1]) end
    if fields[i] == 'body' then body = fields[i + 1] end
  end
  return body
end
