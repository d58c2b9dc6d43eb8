#Requires -Version 5.1
<#
    ca-certs.ps1 takes the place of the two published scripts of this name, the one of
    Azure/azure-iot-sdk-c and the one of Azure/iotedge (tools/CACertificates in both):
    the same functions, parameters and file names. The work is done by the program
    certgen, in one step: after an error there are the certificates of before.

    Needed: certgen beside this script or in PATH, or a checkout of dpskit and Go.
    Not needed: openssl, an administrator, the certificate store of Windows, Windows.

        . .\ca-certs.ps1
        Test-CACertsPrerequisites
        New-CACertsCertChain rsa
        New-CACertsDevice my-device

    All files go to the current folder. Where the two scripts differ, both sets of
    files are made, each as its script does. For a device "my-device":

        azure-iot-sdk-c   my-device.pfx, my-device-all.pem, -private.pem, -public.pem;
                          signed by the root unless a signer is given
        iotedge           certs/iot-device-my-device.*, private/iot-device-my-device.key.pem;
                          signed by the intermediate unless a signer is given

    A signer may be given as azure-iot-sdk-c wants it ("CN=Azure IoT CA TestOnly
    Intermediate 1 CA"), as iotedge wants it ("azure-iot-test-only.intermediate"), or
    by its name in the folder ("root", "intermediate", "intermediate2").

    Settings, all from the environment:

        DEFAULT_VALIDITY_DAYS     days until certificates expire (30)
        ROOT_CA_PASSWORD          pass phrase of the root's key (1234)
        INTERMEDIATE_CA_PASSWORD  pass phrase of the intermediates' keys (1234)
        CERTGEN_PFX_PASSWORD      password of the PFX files (1234)
        CERTGEN_PFX_PROFILE       modern, or legacy for Windows before 2019 (modern)
        CERTGEN_COPY              both, azure-iot-sdk-c or iotedge: whose files to make (both)
        CERTIFICATE_OUTPUT_DIR    another folder than the current one
        FORCE_NO_PROD_WARNING     any value leaves out the warnings
        CERTGEN                   the program certgen, when it is somewhere else

    Nothing that it makes is for production.
#>

function Get-CACertsSetting([string]$name, [string]$default)
{
    $value = [Environment]::GetEnvironmentVariable($name)
    if ([string]::IsNullOrEmpty($value))
    {
        return $default
    }
    return $value
}

function Write-CACertsWarning([string]$message)
{
    if (-not (Test-Path 'Env:FORCE_NO_PROD_WARNING'))
    {
        Write-Warning $message
    }
}

# The folder of the certificates, as an absolute path.
function Get-CACertsFolder()
{
    $here = (Get-Location -PSProvider FileSystem).ProviderPath
    $folder = [IO.Path]::Combine($here, (Get-CACertsSetting 'CERTIFICATE_OUTPUT_DIR' $here))
    if ($folder.Length -gt 3)
    {
        # A backslash before a closing quotation mark would spoil the arguments of certgen.
        $folder = $folder.TrimEnd([char[]]@('\', '/'))
    }
    [IO.Directory]::CreateDirectory($folder) | Out-Null
    return $folder
}

function Get-CACertsPath([string]$name)
{
    return [IO.Path]::Combine((Get-CACertsFolder), $name)
}

# Whose files to make.
function Test-CACertsCopy([string]$name)
{
    $copy = Get-CACertsSetting 'CERTGEN_COPY' 'both'
    if (@('both', 'azure-iot-sdk-c', 'iotedge') -notcontains $copy)
    {
        throw ('Unknown CERTGEN_COPY "{0}": choose both, azure-iot-sdk-c or iotedge.' -f $copy)
    }
    return (($copy -eq 'both') -or ($copy -eq $name))
}

# Whether a program can be run: a path leads to it, a name is found in PATH and not in the current folder.
function Test-CACertsProgram([string]$name)
{
    if ($name -match '[\\/]')
    {
        return (Test-Path -LiteralPath $name -PathType Leaf)
    }
    return ($null -ne (Get-Command -Name $name -CommandType Application -ErrorAction SilentlyContinue))
}

# The command that runs certgen: the program and its first arguments.
function Find-CACertsProgram()
{
    $given = Get-CACertsSetting 'CERTGEN' ''
    if ($given -ne '')
    {
        if (-not (Test-CACertsProgram $given))
        {
            throw ('No program "{0}", which CERTGEN names.' -f $given)
        }
        return , @($given)
    }
    $checkout = ''
    if (-not [string]::IsNullOrEmpty($PSScriptRoot))
    {
        foreach ($name in @('certgen.exe', 'certgen'))
        {
            $path = [IO.Path]::Combine($PSScriptRoot, $name)
            if ([IO.File]::Exists($path))
            {
                return , @($path)
            }
        }
        $checkout = [IO.Path]::GetDirectoryName($PSScriptRoot)
    }
    if (Test-CACertsProgram 'certgen')
    {
        return , @('certgen')
    }
    if (-not [string]::IsNullOrEmpty($checkout))
    {
        $module = [IO.Path]::Combine($checkout, 'go.mod')
        if ([IO.File]::Exists($module) -and
            ([IO.File]::ReadAllLines($module) -contains 'module github.com/dpskit/dpskit') -and
            (Test-CACertsProgram 'go'))
        {
            return , @('go', '-C', $checkout, 'run', './cmd/certgen')
        }
    }
    throw ('The program certgen is neither beside this script nor in PATH. Install it with ' +
        '"go install github.com/dpskit/dpskit/cmd/certgen@latest", or unpack a release and put certgen beside ' +
        'this script, or say where it is: $env:CERTGEN = "C:\some\where\certgen.exe".')
}

# Sets an environment variable of this process; $null removes it.
function Set-CACertsVariable([string]$name, [object]$value)
{
    if ($null -eq $value)
    {
        Remove-Item -LiteralPath ('Env:' + $name) -ErrorAction SilentlyContinue
    }
    else
    {
        Set-Item -LiteralPath ('Env:' + $name) -Value $value
    }
}

# Refuses what Windows PowerShell would not hand to a program as it is: it drops empty arguments, and puts
# quotation marks around those with blanks without a thought for what is in them.
function Assert-CACertsArgument([string]$argument)
{
    if ([string]::IsNullOrEmpty($argument) -or $argument.Contains('"') -or ($argument -match '\s.*\\$'))
    {
        throw ('The name "{0}" is empty, has a quotation mark in it, or a blank and a backslash at its end.' -f $argument)
    }
}

# Runs certgen on the folder of the certificates; an error of certgen ends the caller. Nothing is read from its
# output, which Windows PowerShell would decode wrongly. Secrets go to certgen in its environment: arguments can
# be read by every user.
function Invoke-CACertsProgram([string]$command, [string[]]$flags, [string]$subject = '', [hashtable]$secrets = @{})
{
    # An error text of certgen must reach the user as it is, not as an error record of PowerShell, and its exit
    # code is checked here. Both variables are local to this function.
    $ErrorActionPreference = 'Continue'
    $PSNativeCommandUseErrorActionPreference = $false

    $found = Find-CACertsProgram
    $program = $found[0]
    $arguments = @($found | Select-Object -Skip 1) + @($command, '--dir', (Get-CACertsFolder), '--quiet') + $flags
    if ($subject -ne '')
    {
        $arguments += @('--', $subject)
    }
    foreach ($argument in $arguments)
    {
        Assert-CACertsArgument $argument
    }

    $environment = @{
        'CERTGEN_CA_PASSWORD' = $null
        'CERTGEN_KEY_PASSWORD' = $null
        'CERTGEN_INTERMEDIATE_KEY_PASSWORD' = $null
        'CERTGEN_PFX_PASSWORD' = (Get-CACertsSetting 'CERTGEN_PFX_PASSWORD' '1234')
    }
    foreach ($name in @($secrets.Keys))
    {
        $environment[$name] = $secrets[$name]
    }
    $before = @{}
    foreach ($name in @($environment.Keys))
    {
        $before[$name] = [Environment]::GetEnvironmentVariable($name)
    }
    # What remains when the program cannot be started at all.
    $global:LASTEXITCODE = 126
    try
    {
        foreach ($name in @($environment.Keys))
        {
            Set-CACertsVariable $name $environment[$name]
        }
        & $program $arguments | Out-Null
        $code = $LASTEXITCODE
    }
    finally
    {
        foreach ($name in @($before.Keys))
        {
            Set-CACertsVariable $name $before[$name]
        }
    }
    if ($code -eq 4)
    {
        throw ('certgen ended with exit code 4; its message is above. The pass phrases are those of the environment ' +
            'variables ROOT_CA_PASSWORD and INTERMEDIATE_CA_PASSWORD, or 1234 without them.')
    }
    if ($code -ne 0)
    {
        throw ('certgen ended with exit code {0}; its message is above.' -f $code)
    }
}

# Writes files of the certificate with a name in the folder, all of them or none. A file is given as certgen's
# flag --file wants it, with its name alone.
function Export-CACertsFiles([string]$name, [string[]]$files)
{
    $flags = @('--force', '--pfx-profile', (Get-CACertsSetting 'CERTGEN_PFX_PROFILE' 'modern'))
    foreach ($file in $files)
    {
        $parts = $file.Split([char[]]@('='), 2)
        $flags += @('--file', ($parts[0] + '=' + (Get-CACertsPath $parts[1])))
    }
    Invoke-CACertsProgram 'export' $flags $name
}

# The name in the folder of a signer that is given as one of the two scripts wants it.
function Resolve-CACertsSigner([string]$signer)
{
    if (($signer -eq 'azure-iot-test-only.root.ca') -or ($signer -eq 'CN=Azure IoT CA TestOnly Root CA'))
    {
        return 'root'
    }
    if (($signer -match '^azure-iot-test-only\.intermediate(\d*)$') -or
        ($signer -match '^CN=Azure IoT CA TestOnly Intermediate (\d+) CA$'))
    {
        if (($Matches[1] -eq '') -or ($Matches[1] -eq '1'))
        {
            return 'intermediate'
        }
        return ('intermediate' + $Matches[1])
    }
    return $signer
}

function Get-CACertsSignerSecrets([string]$signer)
{
    if ($signer -eq 'root')
    {
        return @{ 'CERTGEN_CA_PASSWORD' = (Get-CACertsSetting 'ROOT_CA_PASSWORD' '1234') }
    }
    return @{ 'CERTGEN_CA_PASSWORD' = (Get-CACertsSetting 'INTERMEDIATE_CA_PASSWORD' '1234') }
}

# What the files of a name in the folder begin with.
function Get-CACertsStem([string]$name)
{
    if ($name -eq 'root')
    {
        return 'azure-iot-test-only.root.ca'
    }
    if ($name -match '^intermediate\d*$')
    {
        return ('azure-iot-test-only.' + $name)
    }
    return ($name -replace ':', '%3A')
}

# The name in the folder of the certificate of a device: that of azure-iot-sdk-c or, with a prefix, that of iotedge.
function Find-CACertsName([string]$deviceName, [string]$prefix)
{
    foreach ($name in @($deviceName, ($prefix + $deviceName)))
    {
        if ([IO.File]::Exists((Get-CACertsCertificatePath $name)))
        {
            return $name
        }
    }
    throw ('There is no certificate "{0}" and no "{1}{0}" in {2}. certgen writes names that Windows cannot hold, such as con, in another way: take the files from there.' -f $deviceName, $prefix, (Get-CACertsPath 'certs'))
}

# The path of the certificate with a name in the folder, or of its full chain.
function Get-CACertsCertificatePath([string]$name, [string]$kind = '.cert.pem')
{
    return [IO.Path]::Combine((Get-CACertsPath 'certs'), (Get-CACertsStem $name) + $kind)
}

function Get-CACertsKeyPath([string]$name)
{
    return [IO.Path]::Combine((Get-CACertsPath 'private'), (Get-CACertsStem $name) + '.key.pem')
}

# Fails if the key of a signer does not open, before anything is written.
function Assert-CACertsSigner([string]$signer)
{
    $ca = Resolve-CACertsSigner $signer
    $file = Get-CACertsKeyPath $ca
    if ([IO.File]::Exists($file))
    {
        Invoke-CACertsProgram 'inspect' @() $file (Get-CACertsSignerSecrets $ca)
    }
}

# The choice between RSA and ECC is kept in a file, so that later calls need not repeat it. Where that is missing, as
# in a folder that another program made, a certificate of the folder tells: that of the signer, or the root.
function Get-CACertsCertUseRsa([string]$name = 'root')
{
    $file = Get-CACertsPath 'algorithmUsed.txt'
    if ([IO.File]::Exists($file))
    {
        return ([IO.File]::ReadAllText($file).Trim() -eq 'rsa')
    }
    $file = Get-CACertsCertificatePath $name
    if (-not [IO.File]::Exists($file))
    {
        return $false
    }
    $certificate = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList $file
    return ($certificate.PublicKey.Oid.Value -eq '1.2.840.113549.1.1.1')
}

function Get-CACertsKeyFlags([bool]$useRsa)
{
    $type = 'ec-p256'
    if ($useRsa)
    {
        $type = 'rsa-4096'
    }
    $flags = @('--key-type', $type)
    # Only asked-for days are passed on: certgen remarks when a signer has less left.
    $days = Get-CACertsSetting 'DEFAULT_VALIDITY_DAYS' ''
    if ($days -ne '')
    {
        $flags += @('--days', $days)
    }
    return $flags
}

function Get-CACertsPfxFlags()
{
    return @('--pfx', '--pfx-profile', (Get-CACertsSetting 'CERTGEN_PFX_PROFILE' 'modern'))
}

# Makes a certificate with a key and signs it.
function New-CACertsSigned([string]$command, [string]$subject, [string[]]$names, [string]$signer)
{
    $ca = Resolve-CACertsSigner $signer
    $days = Get-CACertsSetting 'DEFAULT_VALIDITY_DAYS' '30'
    Write-CACertsWarning ('Generating certificate CN={0} which is for prototyping, NOT PRODUCTION. It will expire in {1} days.' -f $subject, $days)
    $flags = @('--ca', $ca, '--force') + (Get-CACertsPfxFlags) + (Get-CACertsKeyFlags (Get-CACertsCertUseRsa $ca))
    foreach ($name in $names)
    {
        $flags += @('--name', $name)
    }
    Invoke-CACertsProgram $command $flags $subject (Get-CACertsSignerSecrets $ca)
    Write-Host ('Certificate with subject CN={0} has been output to {1} and with full chain to {2}' -f $subject, (Get-CACertsCertificatePath $names[0]), (Get-CACertsCertificatePath $names[0] '-full-chain.cert.pem'))
}

# Writes the files of azure-iot-sdk-c beside the ones in certs and private.
function Write-CACertsDeviceFiles([string]$deviceName)
{
    Export-CACertsFiles $deviceName @(
        ('pfx=' + $deviceName + '.pfx'),
        ('pem:everything=' + $deviceName + '-all.pem'),
        ('pem:key=' + $deviceName + '-private.pem'),
        ('pem:certificate=' + $deviceName + '-public.pem'))
    Write-Host ('Certificate with subject CN={0} has been output to {1}' -f $deviceName, (Get-CACertsPath ($deviceName + '-public.pem')))
}

function Assert-CACertsName([string]$name, [string]$what)
{
    if ([string]::IsNullOrWhiteSpace($name))
    {
        throw ('{0} is required and cannot be empty.' -f $what)
    }
    return $name.Trim()
}

<#
    .SYNOPSIS
    Checks that certgen is there.
#>
function Test-CACertsPrerequisites([bool]$printMsg = $true)
{
    $ErrorActionPreference = 'Stop'
    $command = Find-CACertsProgram
    if ($printMsg)
    {
        Write-Host ('Using {0}' -f ($command -join ' '))
        Write-Host 'Success'
    }
}

# Makes a root, or takes one, and the intermediates in one step: three as azure-iot-sdk-c does, or the one of
# iotedge. algorithm is that of all later keys, too.
function New-CACertsAuthorities([string[]]$rootFlags, [string]$algorithm, [hashtable]$secrets)
{
    $forSdk = Test-CACertsCopy 'azure-iot-sdk-c'
    $flags = $rootFlags + @('--intermediate-cn', 'Azure IoT CA TestOnly Intermediate CA', '--force')
    if ($forSdk)
    {
        $flags = $rootFlags + @('--intermediates', '3', '--intermediate-cn', 'Azure IoT CA TestOnly Intermediate {n} CA', '--force')
    }
    $flags += (Get-CACertsPfxFlags) + (Get-CACertsKeyFlags ($algorithm -eq 'rsa'))
    $secrets['CERTGEN_INTERMEDIATE_KEY_PASSWORD'] = Get-CACertsSetting 'INTERMEDIATE_CA_PASSWORD' '1234'
    Invoke-CACertsProgram 'init' $flags '' $secrets
    [IO.File]::WriteAllText((Get-CACertsPath 'algorithmUsed.txt'), $algorithm.ToLowerInvariant() + "`n")
    if ($forSdk)
    {
        Export-CACertsFiles 'root' @('pem:certificate=RootCA.pem', 'der=RootCA.cer')
        Export-CACertsFiles 'intermediate' @('pem:certificate=Intermediate1.pem')
        Export-CACertsFiles 'intermediate2' @('pem:certificate=Intermediate2.pem')
        Export-CACertsFiles 'intermediate3' @('pem:certificate=Intermediate3.pem')
    }
}

<#
    .SYNOPSIS
    Makes a root CA and three intermediate CAs, each below the one before; for iotedge alone, one. Those of before, and all that they
    signed, are moved to the folder replaced.
    .PARAMETER algorithm
    The kind of the keys, of these and of all later certificates: rsa (4096 bits) or ecc (the curve P-256).
#>
function New-CACertsCertChain([Parameter(Mandatory = $true)][ValidateSet('rsa', 'ecc')][string]$algorithm)
{
    $ErrorActionPreference = 'Stop'
    Write-Host ('Making the certificates in {0}' -f (Get-CACertsFolder))
    $secrets = @{ 'CERTGEN_KEY_PASSWORD' = (Get-CACertsSetting 'ROOT_CA_PASSWORD' '1234') }
    New-CACertsAuthorities @('--root-cn', 'Azure IoT CA TestOnly Root CA') $algorithm $secrets
    Write-Host 'Success'
}

<#
    .SYNOPSIS
    Takes a root CA that you have, and makes the intermediate CAs below it.
    .PARAMETER rootCAFile
    The certificate.
    .PARAMETER rootCAKeyFile
    Its key.
    .PARAMETER algorithm
    The kind of the keys of all further certificates: rsa or ecc.
    .PARAMETER rootPrivateKeyPassword
    The pass phrase of the key. Without it the environment variable ROOT_CA_PASSWORD counts, else it is 1234. If both
    are given, the folder keeps the key with that of ROOT_CA_PASSWORD, which all functions that sign with the root use.
#>
function Install-RootCACertificate(
    [Parameter(Position = 0, Mandatory = $true)][string]$rootCAFile,
    [Parameter(Position = 1, Mandatory = $true)][string]$rootCAKeyFile,
    [Parameter(Position = 2, Mandatory = $true)][ValidateSet('rsa', 'ecc')][string]$algorithm,
    [Parameter(Position = 3)][string]$rootPrivateKeyPassword = '')
{
    $ErrorActionPreference = 'Stop'
    $password = $rootPrivateKeyPassword
    if ($password -eq '')
    {
        $password = Get-CACertsSetting 'ROOT_CA_PASSWORD' '1234'
    }
    # Another pass phrase than the one given is for the owner of the CA to choose.
    $kept = Get-CACertsSetting 'ROOT_CA_PASSWORD' $password
    $certificate = (Resolve-Path -LiteralPath $rootCAFile).ProviderPath
    $key = (Resolve-Path -LiteralPath $rootCAKeyFile).ProviderPath
    $secrets = @{ 'CERTGEN_CA_PASSWORD' = $password; 'CERTGEN_KEY_PASSWORD' = $kept }
    New-CACertsAuthorities @('--ca-cert', $certificate, '--ca-key', $key) $algorithm $secrets
    if ($kept -ne (Get-CACertsSetting 'ROOT_CA_PASSWORD' '1234'))
    {
        Write-Warning ('The key of the root keeps its password. Before you sign with the root, as ' +
            'New-CACertsVerificationCert does, run: $env:ROOT_CA_PASSWORD = "..."')
    }
    Write-Host 'Success'
}

<#
    .SYNOPSIS
    The certificate of the folder with a subject such as "CN=Azure IoT CA TestOnly Root CA".
#>
function Get-CACertsCertBySubjectName([string]$subjectName)
{
    $ErrorActionPreference = 'Stop'
    $folder = Get-CACertsPath 'certs'
    $files = @()
    if ([IO.Directory]::Exists($folder))
    {
        $files = @([IO.Directory]::GetFiles($folder, '*.cert.pem') | Sort-Object)
    }
    foreach ($file in $files)
    {
        if (-not ($file -match '(-full-chain|\.chain\.ca)\.cert\.pem$'))
        {
            $certificate = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Certificate2 -ArgumentList $file
            if ($certificate.Subject -eq $subjectName)
            {
                return $certificate
            }
        }
    }
    throw ('Unable to find certificate with subjectName {0}' -f $subjectName)
}

<#
    .SYNOPSIS
    Makes the certificate that proves possession of the root CA: verifyCert4.cer.
    .PARAMETER requestedCommonName
    The verification code that the portal shows.
#>
function New-CACertsVerificationCert([Parameter(Mandatory = $true)][string]$requestedCommonName)
{
    $ErrorActionPreference = 'Stop'
    $code = Assert-CACertsName $requestedCommonName 'The verification code'
    $names = @()
    if (Test-CACertsCopy 'azure-iot-sdk-c')
    {
        $names += 'verification-code'
    }
    if (Test-CACertsCopy 'iotedge')
    {
        $names += 'iot-device-verification-code'
    }
    New-CACertsSigned 'verification' $code $names 'root'
    if (Test-CACertsCopy 'azure-iot-sdk-c')
    {
        Export-CACertsFiles 'verification-code' @('der=verifyCert4.cer')
        Write-Host ('Certificate with subject CN={0} has been output to {1}' -f $code, (Get-CACertsPath 'verifyCert4.cer'))
    }
}

<#
    .SYNOPSIS
    Makes a device certificate.
    .PARAMETER deviceName
    The common name, which is the device ID or registration ID.
    .PARAMETER signingCertSubject
    The CA that signs. The comment at the head of this script tells the ways to give it.
    .PARAMETER isEdgeDevice
    Makes a CA certificate for an IoT Edge device, as New-CACertsEdgeDevice does.
#>
function New-CACertsDevice(
    [Parameter(Mandatory = $true)][string]$deviceName,
    [Alias('issuerPrefix')][string]$signingCertSubject = '',
    [bool]$isEdgeDevice = $false)
{
    $ErrorActionPreference = 'Stop'
    $deviceName = Assert-CACertsName $deviceName 'The device name'
    if ($isEdgeDevice)
    {
        New-CACertsEdgeDevice $deviceName $signingCertSubject
        return
    }
    $edgeSigner = 'intermediate'
    $sdkSigner = 'root'
    if ($signingCertSubject -ne '')
    {
        $edgeSigner = $signingCertSubject
        $sdkSigner = $signingCertSubject
    }
    if ((Test-CACertsCopy 'iotedge') -and (Test-CACertsCopy 'azure-iot-sdk-c'))
    {
        # Two certificates or none.
        Assert-CACertsSigner $edgeSigner
        Assert-CACertsSigner $sdkSigner
    }
    if (Test-CACertsCopy 'iotedge')
    {
        New-CACertsSigned 'device' $deviceName @('iot-device-' + $deviceName) $edgeSigner
    }
    if (Test-CACertsCopy 'azure-iot-sdk-c')
    {
        New-CACertsSigned 'device' $deviceName @($deviceName) $sdkSigner
        Write-CACertsDeviceFiles $deviceName
    }
}

<#
    .SYNOPSIS
    Makes a CA certificate for an IoT Edge device, with ".ca" behind its name.
#>
function New-CACertsEdgeDevice(
    [Parameter(Mandatory = $true)][string]$deviceName,
    [Alias('issuerPrefix')][string]$signingCertSubject = '')
{
    $ErrorActionPreference = 'Stop'
    $deviceName = Assert-CACertsName $deviceName 'The device name'
    $signer = $signingCertSubject
    if ($signer -eq '')
    {
        $signer = 'intermediate'
    }
    $names = @()
    if (Test-CACertsCopy 'iotedge')
    {
        $names += ('iot-edge-device-' + $deviceName)
    }
    if (Test-CACertsCopy 'azure-iot-sdk-c')
    {
        $names += $deviceName
    }
    New-CACertsSigned 'edge-ca' $deviceName $names $signer
    if (Test-CACertsCopy 'azure-iot-sdk-c')
    {
        Write-CACertsDeviceFiles $deviceName
    }
}

<#
    .SYNOPSIS
    Makes a CA certificate for an IoT Edge device under the name iot-edge-device-ca-NAME.
#>
function New-CACertsEdgeDeviceCA(
    [Parameter(Mandatory = $true)][string]$deviceName,
    [string]$issuerPrefix = 'intermediate')
{
    $ErrorActionPreference = 'Stop'
    $deviceName = Assert-CACertsName $deviceName 'The device name'
    New-CACertsSigned 'edge-ca' $deviceName @('iot-edge-device-ca-' + $deviceName) $issuerPrefix
}

<#
    .SYNOPSIS
    Makes the certificate that an IoT Edge device signs in with.
#>
function New-CACertsEdgeDeviceIdentity(
    [Parameter(Mandatory = $true)][string]$deviceName,
    [string]$issuerPrefix = 'intermediate')
{
    $ErrorActionPreference = 'Stop'
    $deviceName = Assert-CACertsName $deviceName 'The device name'
    New-CACertsSigned 'edge-identity' $deviceName @('iot-edge-device-identity-' + $deviceName) $issuerPrefix
}

<#
    .SYNOPSIS
    Makes a TLS server certificate for a host.
#>
function New-CACertsEdgeServer(
    [Parameter(Mandatory = $true)][string]$hostName,
    [string]$issuerPrefix = 'intermediate')
{
    $ErrorActionPreference = 'Stop'
    $hostName = Assert-CACertsName $hostName 'The host name'
    New-CACertsSigned 'server' $hostName @('iot-edge-server-' + $hostName) $issuerPrefix
}

<#
    .SYNOPSIS
    Sets the environment variables IOTHUB_CA_* that samples of the C SDK read.
    .PARAMETER useIntermediate
    Not needed any more: the certificates of the CAs that signed the device are always there.
#>
function Write-CACertsCertificatesToEnvironment([string]$deviceName, [string]$iothubName, [bool]$useIntermediate)
{
    $ErrorActionPreference = 'Stop'
    $name = Find-CACertsName $deviceName 'iot-device-'
    $chain = [IO.File]::ReadAllText((Get-CACertsCertificatePath $name '-full-chain.cert.pem'))
    $key = [IO.File]::ReadAllText((Get-CACertsKeyPath $name))
    $env:IOTHUB_CA_X509_PUBLIC = $chain -replace '\r?\n', "`r`n"
    $env:IOTHUB_CA_X509_PRIVATE_KEY = $key -replace '\r?\n', "`r`n"
    $env:IOTHUB_CA_CONNECTION_STRING_TO_DEVICE = 'HostName={0};DeviceId={1};x509=true' -f $iothubName, $deviceName
    $env:IOTHUB_CA_USE_ECC = '1'
    if (Get-CACertsCertUseRsa $name)
    {
        $env:IOTHUB_CA_USE_ECC = '0'
    }
    Write-Host 'Success'
}

<#
    .SYNOPSIS
    Copies the files of a device to the names of the IoT Edge tutorials, certs/new-edge-device.* and
    private/new-edge-device.key.pem.
#>
function Write-CACertsCertificatesForEdgeDevice([string]$deviceName)
{
    $ErrorActionPreference = 'Stop'
    $name = Find-CACertsName $deviceName 'iot-edge-device-'
    foreach ($kind in @('.cert.pem', '-full-chain.cert.pem'))
    {
        [IO.File]::Copy((Get-CACertsCertificatePath $name $kind), (Get-CACertsCertificatePath 'new-edge-device' $kind), $true)
    }
    [IO.File]::Copy((Get-CACertsKeyPath $name), (Get-CACertsKeyPath 'new-edge-device'), $true)
    Write-Host 'Success'
}

Write-CACertsWarning 'This script is provided for prototyping only.'
Write-CACertsWarning 'DO NOT USE CERTIFICATES FROM THIS SCRIPT FOR PRODUCTION!'
