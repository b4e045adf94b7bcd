-- The lines of a stored message, with the empty one, and how many bytes of body follow. Needs body.
local function lines_of(text)
  local size = #body_of(text)
  return text:sub(1, #text - size), size
end
